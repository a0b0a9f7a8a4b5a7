import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { compile, runEager } from '@lockstep/engine';

import { floats, testEngine, tinyTask, wholeGradient } from '../engine.fixture.js';
import { SEED_PARAMETERS } from '../goldens.fixture.js';
import { gradientFunction, gradientInputs, predictionFunction } from '#src/training/loss.js';
import { makeMicrobatch } from '#src/training/microbatch.js';
import type { Microbatch } from '#src/training/microbatch.js';
import { valuesOf } from '#src/data/image-shape.js';
import { imageShapeOf, initialParameters, parameterTable } from '#src/network/model.js';
import { globalNorm, parameterCount, tensorOf, fillNormal, STREAMS } from '@lockstep/task';
import { PRESETS } from '#src/recipe/presets.js';
import { makeSchedule } from '#src/training/schedule.js';
import type { SeedUNetConfig } from '#src/network/seed-unet.js';

const engine = testEngine();
const CONFIG: SeedUNetConfig = { kind: 'seed-unet', features: 16, imageSize: 28, channels: 1 };
const TABLE = parameterTable(CONFIG);
const N = 2;
const TASK = { ...tinyTask(), schedule: makeSchedule(PRESETS.seed.schedule), networkTime: 'fraction' } as const;
const BATCH = makeMicrobatch({ ...TASK, microbatchSize: N }, 0, 0);
const graph = gradientFunction(engine, CONFIG, N, 'eps');
const compiled = compile(engine, graph.fn, graph.specs, { stages: graph.stages });
after(() => compiled.dispose());

/** Norms at 1 and 0 would hide a swap of the two. */
function weights(): Float32Array {
  const flat = initialParameters(CONFIG, 3);
  TABLE.filter(({ name }) => name.includes('.norm.')).forEach(({ name }, position) => {
    const tensor = tensorOf(TABLE, flat, name);
    const noise = new Float32Array(tensor.length);
    fillNormal(noise, { seed: 1, stream: STREAMS.parameters, step: 1, position });
    noise.forEach((z, i) => (tensor[i] += 0.2 * z));
  });
  return flat;
}

function run(flat: Float32Array, batch: Microbatch): { gradient: Float32Array; losses: Float32Array } {
  return wholeGradient(compiled.run(gradientInputs(flat, batch)));
}

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function predict(flat: Float32Array, x: Float32Array, t: Float32Array): Float32Array {
  const { fn, specs } = predictionFunction(engine, CONFIG, t.length);
  return floats(runEager(engine, fn, specs, [flat, x, t])[0]);
}

for (const [features, count] of Object.entries(SEED_PARAMETERS)) {
  test(`with ${features} features the seed's network has the golden ${count} parameters`, () => {
    assert.equal(parameterCount(parameterTable({ ...CONFIG, features: Number(features) })), count);
  });
}

test('the presets are the four sizes that have golden counts, and seed is one of them', () => {
  const features = (name: 'seed' | 'seed-16' | 'seed-64' | 'seed-128'): number | null => {
    const { model } = PRESETS[name];
    return model.kind === 'seed-unet' ? model.features : null;
  };
  assert.deepEqual(
    [features('seed-16'), features('seed'), features('seed-64'), features('seed-128')],
    [16, 32, 64, 128],
  );
});

test('transposed convolutions are kept as [height, width, out, in], and the first time layer has no bias', () => {
  const shape = (name: string) => TABLE.find((span) => span.name === name)?.shape;
  assert.deepEqual(shape('up.1.up.weight'), [3, 3, 32, 32]);
  assert.deepEqual(shape('up.2.up.weight'), [2, 2, 32, 64]);
  assert.deepEqual(shape('up.2.up.bias'), [32]);
  assert.deepEqual(shape('time.linear1.weight'), [1, 32]);
  assert.equal(shape('time.linear1.bias'), undefined);
});

test('initial weights lie within one over the root of what PyTorch takes for the fan-in, and no layer is zero', () => {
  const flat = initialParameters(CONFIG, 1);
  for (const [name, fanIn] of [
    ['up.2.up.weight', 4 * 32],
    ['up.1.up.bias', 9 * 32],
    ['time.linear1.weight', 1],
    ['out.weight', 9 * 32],
  ] as const) {
    const largest = Math.max(...tensorOf(TABLE, flat, name).map(Math.abs));
    const bound = 1 / Math.sqrt(fanIn);
    assert.ok(largest <= Math.fround(bound) && largest > 0.85 * bound, `${name}: ${largest} of ${bound}`);
  }
});

test('compiled and eager gradients and losses agree to float32 rounding', () => {
  const inputs = gradientInputs(weights(), BATCH);
  const eager = wholeGradient(runEager(engine, graph.fn, graph.specs, inputs));
  const graphed = wholeGradient(compiled.run(inputs));
  const largest = eager.gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
  assert.ok(largest > 0);
  assert.ok(eager.gradient.every((g, i) => Math.abs(g - graphed.gradient[i]) <= 1e-5 * largest));
  assert.ok(eager.losses.every((loss, i) => Math.abs(loss - graphed.losses[i]) <= 1e-5 * loss));
});

test('with and without our kernels, gradients and losses agree to 1e-5', () => {
  const plain = gradientFunction({ ...engine, native: false }, CONFIG, N, 'eps');
  const inputs = gradientInputs(weights(), BATCH);
  const composed = wholeGradient(runEager(engine, plain.fn, plain.specs, inputs));
  const fused = wholeGradient(compiled.run(inputs));
  const largest = composed.gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
  assert.ok(composed.gradient.every((g, i) => Math.abs(g - fused.gradient[i]) <= 1e-5 * largest));
  assert.ok(composed.losses.every((loss, i) => Math.abs(loss - fused.losses[i]) <= 1e-5 * loss));
});

test('the compiled gradient has the same bits every time', () => {
  assert.deepEqual(run(weights(), BATCH), run(weights(), BATCH));
});

test('the gradient of every tensor is the slope of the mean loss along it, by central differences', () => {
  const start = weights();
  const { gradient } = run(start, BATCH);
  for (const { name, offset, size } of TABLE) {
    const part = gradient.subarray(offset, offset + size);
    const slope = globalNorm(part);
    // Large enough that the losses differ by much more than float32 rounding, small enough to pass few kinks of ReLU and maximum.
    const step = Math.min(4e-3, 2e-4 / slope);
    const moved = (sign: number): number => {
      const there = start.slice();
      part.forEach((g, i) => (there[offset + i] += (sign * step * g) / slope));
      return mean(run(there, BATCH).losses);
    };
    const difference = (moved(1) - moved(-1)) / (2 * step);
    assert.ok(slope > 1e-4, `${name}: slope ${slope} would drown in rounding`);
    assert.ok(Math.abs(difference - slope) <= 0.02 * slope + 2e-5, `${name}: slope ${slope}, difference ${difference}`);
  }
});

test('what the network predicts for an image depends on its own timestep', () => {
  const x = new Float32Array(2 * 784).fill(0.5);
  const flat = weights();
  const [same, other] = [
    [0.1, 0.1],
    [0.1, 0.9],
  ].map((t) => predict(flat, x, Float32Array.from(t)));
  const distance = (a: Float32Array, b: Float32Array): number =>
    a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
  assert.ok(distance(same.subarray(0, 784), other.subarray(0, 784)) < 1e-5);
  assert.ok(distance(same.subarray(784), other.subarray(784)) > 1e-3);
});

test('configs that cannot be built are refused with their code', () => {
  for (const features of [0, 12, 8.5, 1e6]) {
    assert.throws(() => parameterTable({ ...CONFIG, features }), { code: 'E_MODEL_CONFIG' }, `${features}`);
  }
  for (const change of [{ imageSize: 7 }, { imageSize: 28.5 }, { imageSize: 1024 }, { channels: 0 }]) {
    assert.throws(() => parameterTable({ ...CONFIG, ...change }), { code: 'E_MODEL_CONFIG' }, JSON.stringify(change));
  }
});

for (const [imageSize, channels] of [
  [16, 3],
  [27, 1],
  [32, 3],
  [64, 1],
] as const) {
  test(`of images of ${imageSize} x ${imageSize} x ${channels} it predicts noise of that shape, and every tensor has a gradient`, () => {
    const config: SeedUNetConfig = { ...CONFIG, imageSize, channels };
    const table = parameterTable(config);
    const deepest = Math.floor(imageSize / 8);
    assert.deepEqual(table.find(({ name }) => name === 'up.1.up.weight')?.shape, [deepest, deepest, 32, 32]);
    const shape = imageShapeOf(config);
    const images = Uint8Array.from({ length: 8 * valuesOf(shape) }, (_, i) => (i * 7919) % 256);
    const dataset = { images, labels: new Uint8Array(8), count: 8, shape };
    const batch = makeMicrobatch({ ...TASK, dataset, microbatchSize: N }, 0, 0);
    assert.equal(batch.eps.length, N * valuesOf(shape));
    const { fn, specs } = gradientFunction(engine, config, N, 'eps');
    const inputs = gradientInputs(initialParameters(config, 3), batch);
    const { gradient, losses } = wholeGradient(runEager(engine, fn, specs, inputs));
    for (const { name, offset, size } of table)
      assert.ok(globalNorm(gradient.subarray(offset, offset + size)) > 0, name);
    assert.ok(
      losses.every((loss) => loss > 0.5 && loss < 5),
      losses.join(),
    );
  });
}
