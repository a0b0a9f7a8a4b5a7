import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { compile, runEager } from '@lockstep/engine';

import { floats, testEngine, tinyTask, wholeGradient } from '../engine.fixture.js';
import { gradientFunction, gradientInputs, predictionFunction } from '#src/training/loss.js';
import { makeMicrobatch } from '#src/training/microbatch.js';
import type { Microbatch } from '#src/training/microbatch.js';
import { earlyFrom, forward, initialParameters, parameterTable, imageShapeOf, unflatten } from '#src/network/model.js';
import { networkEps } from '#src/sampling/network-eps.js';
import { adamStep, globalNorm, parameterCount, tensorOf, fillNormal, STREAMS } from '@lockstep/task';
import { PRESETS } from '#src/recipe/presets.js';
import { sample } from '#src/sampling/sampler.js';

const engine = testEngine();
const CONFIG = PRESETS.tiny.model;
const TABLE = parameterTable(CONFIG);
const TASK = tinyTask();
const N = TASK.microbatchSize;
const graph = gradientFunction(engine, CONFIG, N, 'eps');
const compiled = compile(engine, graph.fn, graph.specs, { stages: graph.stages });
after(() => compiled.dispose());

/** Initial weights with a last convolution that is not zero, so that every tensor has a gradient. */
function awakeWeights(): Float32Array {
  const weights = initialParameters(CONFIG, 3);
  const last = tensorOf(TABLE, weights, 'conv_out.weight');
  fillNormal(last, { seed: 1, stream: STREAMS.parameters, step: 1, position: 0 });
  last.forEach((w, i) => (last[i] = 0.1 * w));
  return weights;
}

function run(weights: Float32Array, batch: Microbatch): { gradient: Float32Array; losses: Float32Array } {
  return wholeGradient(compiled.run(gradientInputs(weights, batch)));
}

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const BATCH = makeMicrobatch(TASK, 0, 0);

test("with the last convolution at zero, each sample's loss is the mean square of its noise", () => {
  const { losses } = run(initialParameters(CONFIG, 3), BATCH);
  const size = 784;
  losses.forEach((loss, i) => {
    const eps = BATCH.eps.subarray(i * size, (i + 1) * size);
    assert.ok(Math.abs(loss - mean(eps.map((e) => e * e))) < 1e-5, `${loss}`);
  });
});

test('compiled and eager gradients and losses agree to float32 rounding', () => {
  const inputs = gradientInputs(awakeWeights(), BATCH);
  const eager = wholeGradient(runEager(engine, graph.fn, graph.specs, inputs));
  const graphed = run(awakeWeights(), BATCH);
  const largest = eager.gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
  assert.ok(largest > 0);
  assert.ok(eager.gradient.every((g, i) => Math.abs(g - graphed.gradient[i]) <= 1e-5 * largest));
  assert.ok(eager.losses.every((loss, i) => Math.abs(loss - graphed.losses[i]) <= 1e-5 * loss));
});

test('the early bucket and the losses are there, in their places, before the late bucket is computed', () => {
  const inputs = gradientInputs(awakeWeights(), BATCH);
  const { gradient, losses } = run(awakeWeights(), BATCH);
  const { offset } = TABLE[earlyFrom(CONFIG)];
  assert.ok(offset > 0 && offset < gradient.length);
  const into = new Float32Array(gradient.length).fill(NaN);
  const targets = graph.targets(into);
  const seen: number[] = [];
  const outputs = compiled.run(inputs, targets, (stage) => {
    seen.push(stage);
    assert.deepEqual(into.subarray(offset), gradient.subarray(offset));
    assert.ok(stage === 1 || into.subarray(0, offset).every(Number.isNaN));
  });
  assert.deepEqual(seen, [0, 1]);
  assert.deepEqual([into, outputs[1]], [gradient, losses]);
});

test('a gradient made in stages has the bits of one made at once', () => {
  const atOnce = compile(engine, graph.fn, graph.specs);
  try {
    assert.deepEqual(wholeGradient(atOnce.run(gradientInputs(awakeWeights(), BATCH))), run(awakeWeights(), BATCH));
  } finally {
    atOnce.dispose();
  }
});

test('the compiled gradient has the same bits every time', () => {
  assert.deepEqual(run(awakeWeights(), BATCH), run(awakeWeights(), BATCH));
});

test('the gradient of every tensor is the slope of the mean loss along it, by central differences', () => {
  const weights = awakeWeights();
  const { gradient } = run(weights, BATCH);
  for (const { name, offset, size } of TABLE) {
    const part = gradient.subarray(offset, offset + size);
    const slope = globalNorm(part);
    // Large enough that the losses differ by much more than float32 rounding, small enough for the quadratic term to cancel.
    const step = Math.min(2e-2, 2e-2 / slope);
    const moved = (sign: number): number => {
      const there = weights.slice();
      part.forEach((g, i) => (there[offset + i] += (sign * step * g) / slope));
      return mean(run(there, BATCH).losses);
    };
    const difference = (moved(1) - moved(-1)) / (2 * step);
    assert.ok(slope > 1e-3, `${name}: slope ${slope} would drown in rounding`);
    assert.ok(Math.abs(difference - slope) <= 0.02 * slope + 2e-5, `${name}: slope ${slope}, difference ${difference}`);
  }
});

test('the gradient is the mean over the microbatch: that of one sample alone, averaged', () => {
  const weights = awakeWeights();
  const single = gradientFunction(engine, CONFIG, 1, 'eps');
  const averaged = new Float64Array(parameterCount(TABLE));
  for (let index = 0; index < N; index++) {
    const batch = makeMicrobatch({ ...TASK, microbatchSize: 1 }, 0, index);
    const { gradient } = wholeGradient(runEager(engine, single.fn, single.specs, gradientInputs(weights, batch)));
    gradient.forEach((g, i) => (averaged[i] += g / N));
  }
  const { gradient } = run(weights, BATCH);
  const largest = gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
  assert.ok(gradient.every((g, i) => Math.abs(g - averaged[i]) <= 1e-5 * largest));
});

test("a sample's weight scales its loss, and a weight of zero takes it out of the gradient", () => {
  const weights = awakeWeights();
  const plain = run(weights, BATCH);
  const doubled = run(weights, { ...BATCH, lossWeight: Float32Array.of(2, 1, 1, 1) });
  assert.ok(Math.abs(doubled.losses[0] / plain.losses[0] - 2) < 1e-6);
  assert.equal(doubled.losses[1], plain.losses[1]);
  const without = run(weights, { ...BATCH, lossWeight: new Float32Array(N) });
  assert.ok(without.gradient.every((g) => g === 0));
});

test("the gradient's network sees x_t of q-sample: its loss is that of a prediction made on it", () => {
  const weights = awakeWeights();
  const prediction = predictionFunction(engine, CONFIG, N);
  const xt = BATCH.x0.map((x, i) => {
    const sample = Math.floor(i / 784);
    return BATCH.sqrtAlphaBar[sample] * x + BATCH.sqrtOneMinusAlphaBar[sample] * BATCH.eps[i];
  });
  const [predicted] = runEager(engine, prediction.fn, prediction.specs, [weights, xt, BATCH.t]).map(floats);
  const squares = predicted.map((value, i) => (value - BATCH.eps[i]) ** 2);
  run(weights, BATCH).losses.forEach((loss, i) => {
    assert.ok(Math.abs(mean(squares.subarray(i * 784, (i + 1) * 784)) - loss) < 1e-5 * loss);
  });
});

test('what the network predicts for an image depends on its own timestep', () => {
  const prediction = predictionFunction(engine, CONFIG, 2);
  const x = new Float32Array(2 * 784).fill(0.5);
  const run2 = (t: number[]): Float32Array =>
    floats(runEager(engine, prediction.fn, prediction.specs, [awakeWeights(), x, Float32Array.from(t)])[0]);
  const [same, other] = [run2([10, 10]), run2([10, 900])];
  const distance = (a: Float32Array, b: Float32Array): number =>
    a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
  const [first, second] = [
    (images: Float32Array) => images.subarray(0, 784),
    (images: Float32Array) => images.subarray(784),
  ];
  // Vector instructions straddle samples, so a sample's place in the batch may show in its last bits.
  const rounding = 1e-4 * distance(same, new Float32Array(same.length));
  assert.ok(distance(first(same), second(same)) <= rounding);
  assert.ok(distance(first(other), first(same)) <= rounding);
  assert.ok(distance(second(other), second(same)) > 100 * rounding);
});

for (const networkTime of ['timestep', 'fraction'] as const) {
  test(`the sampler's network sees the same ${networkTime} as the gradient's`, () => {
    const asked: number[][] = [];
    const { schedule } = TASK;
    const eps = networkEps({
      run: ([, x, times]) => {
        asked.push([...times]);
        return [x];
      },
      weights: awakeWeights(),
      n: 2,
      schedule,
      networkTime,
      prediction: 'eps',
      condition: null,
    });
    const trained = makeMicrobatch({ ...TASK, networkTime }, 0, 0);
    BATCH.t.forEach((t) => eps(new Float32Array(2 * 784), t));
    assert.deepEqual(
      asked,
      [...trained.t].map((t) => [t, t]),
    );
  });
}

test('the sampler draws images from a compiled network, the same ones again, and each as if it were alone', () => {
  const draw = (firstImage: number, count: number): Float32Array => {
    const prediction = predictionFunction(engine, CONFIG, count);
    const network = compile(engine, prediction.fn, prediction.specs);
    const eps = networkEps({
      run: (inputs) => network.run(inputs),
      weights: awakeWeights(),
      n: count,
      schedule: TASK.schedule,
      networkTime: TASK.networkTime,
      prediction: 'eps',
      condition: null,
    });
    const images = sample({
      schedule: TASK.schedule,
      sampler: PRESETS.tiny.sampler,
      eps,
      seed: 1,
      firstImage,
      count,
      shape: imageShapeOf(CONFIG),
    });
    network.dispose();
    return images;
  };
  const three = draw(0, 3);
  assert.deepEqual(draw(0, 3), three);
  assert.ok(three.every((value) => Math.abs(value) <= 1 + 1e-5));
  const alone = draw(1, 1);
  assert.ok(alone.every((value, i) => Math.abs(value - three[784 + i]) < 1e-3));
});

test('twenty Adam updates on one microbatch bring its loss down by a third', () => {
  const weights = initialParameters(CONFIG, 3);
  const zeros = (): Float32Array => new Float32Array(weights.length);
  const state = { weights, expAvg: zeros(), expAvgSq: zeros(), ema: weights.slice() };
  const start = mean(run(weights, BATCH).losses);
  for (let step = 0; step < 20; step++) {
    const { gradient } = run(weights, BATCH);
    adamStep(state, gradient, {
      learningRate: 1e-2,
      beta1: 0.9,
      beta2: 0.99,
      eps: 1e-8,
      step,
      clipScale: 1,
      emaDecay: 0.9,
    });
  }
  const end = mean(run(weights, BATCH).losses);
  assert.ok(end < (2 / 3) * start, `${start} to ${end}`);
});

test('the graph carries its weights as an input, not inside: it stays below 300 kB', () => {
  assert.ok(compiled.info.bytes < 300_000, `${compiled.info.bytes}`);
});

test('what tells graphs on disk apart is the function, the network, the number of images and the code', () => {
  const identities = [
    gradientFunction(engine, CONFIG, 2, 'eps'),
    gradientFunction(engine, CONFIG, 3, 'eps'),
    gradientFunction(engine, { ...CONFIG, attentionAt: 'nowhere' }, 2, 'eps'),
    gradientFunction(engine, CONFIG, 2, 'v'),
    predictionFunction(engine, CONFIG, 2),
    predictionFunction(engine, CONFIG, 3),
  ].map(({ identity }) => identity);
  assert.equal(new Set(identities.map((identity) => JSON.stringify(identity))).size, identities.length);
  assert.deepEqual(gradientFunction(engine, { ...CONFIG }, 2, 'eps').identity, identities[0]);
  for (const { code } of identities) assert.match(code, /^[0-9a-f]{64}$/);
});

test('a gradient and a prediction are kept on disk, and give the bits of those recorded', () => {
  const graphs = mkdtempSync(join(tmpdir(), 'lockstep-graphs-'));
  const keeping = { ...engine, options: { ...engine.options, graphs } };
  const inputs = gradientInputs(awakeWeights(), BATCH);
  try {
    for (const [{ fn, specs, identity }, given] of [
      [graph, inputs],
      [predictionFunction(engine, CONFIG, N), [inputs[0], BATCH.x0, BATCH.t]],
    ] as const) {
      const [first, second] = ['recorded', 'disk'].map((source) => {
        const own = compile(keeping, fn, specs, { identity });
        assert.equal(own.info.source, source);
        const outputs = own.run(given);
        own.dispose();
        return outputs;
      });
      assert.deepEqual(second, first);
    }
  } finally {
    rmSync(graphs, { recursive: true });
  }
});

test('too few parameters, flat or as tensors, are refused with their code', () => {
  const { tf } = engine;
  tf.tidy(() => {
    assert.throws(() => unflatten(engine, TABLE, tf.zeros([7])), { code: 'E_PARAMETERS' });
    assert.throws(() => forward(engine, CONFIG, [], tf.zeros([1, 28, 28, 1]), tf.zeros([1])), { code: 'E_PARAMETERS' });
  });
});
