import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compile, runEager } from '@lockstep/engine';

import { floats, testEngine, tinyTask, wholeGradient } from '../engine.fixture.js';
import { gradientFunction, gradientInputs, predictionFunction } from '#src/training/loss.js';
import { makeMicrobatch } from '#src/training/microbatch.js';
import { earlyFrom, forward, initialParameters, parameterTable, unflatten } from '#src/network/model.js';
import { globalNorm, tensorOf, fillNormal, STREAMS } from '@lockstep/task';
import { PRESETS } from '#src/recipe/presets.js';

const engine = testEngine();
const CONFIG = { ...PRESETS.tiny.model, classes: 10 };
const TABLE = parameterTable(CONFIG);
const TASK = { ...tinyTask(), classes: 10, labelDrop: 0.3 };
const N = TASK.microbatchSize;
const SIZE = 784;

/** Initial weights with a last convolution that is not zero, so that every tensor has a gradient. */
function awakeWeights(): Float32Array {
  const weights = initialParameters(CONFIG, 3);
  const last = tensorOf(TABLE, weights, 'conv_out.weight');
  fillNormal(last, { seed: 1, stream: STREAMS.parameters, step: 1, position: 0 });
  last.forEach((w, i) => (last[i] = 0.1 * w));
  return weights;
}

function predict(labels: readonly number[]): Float32Array {
  const { fn, specs } = predictionFunction(engine, CONFIG, labels.length);
  const x = new Float32Array(labels.length * SIZE).fill(0.5);
  const t = new Float32Array(labels.length).fill(300);
  return floats(runEager(engine, fn, specs, [awakeWeights(), x, t, Int32Array.from(labels)])[0]);
}

test('the table of labels is in the late bucket, as the time embedding is: its gradient is made last', () => {
  assert.ok(TABLE.findIndex(({ name }) => name === 'class_embedding.weight') < earlyFrom(CONFIG));
});

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

for (const prediction of ['eps', 'v'] as const) {
  const graph = gradientFunction(engine, CONFIG, N, prediction);

  test(`a conditional network's gradient of ${prediction} has the same bits every time, compiled, and is that of the ops one by one`, () => {
    const compiled = compile(engine, graph.fn, graph.specs);
    const inputs = gradientInputs(awakeWeights(), makeMicrobatch(TASK, 0, 0));
    const [first, second] = [compiled.run(inputs), compiled.run(inputs)].map(wholeGradient);
    compiled.dispose();
    assert.deepEqual(second, first);
    const { gradient: eager } = wholeGradient(runEager(engine, graph.fn, graph.specs, inputs));
    const largest = eager.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
    assert.ok(eager.every((g, i) => Math.abs(g - first.gradient[i]) <= 1e-5 * largest));
  });

  test(`the gradient of ${prediction} by a row of the table is the slope of the loss along it, and zero for labels that no sample has`, () => {
    const weights = awakeWeights();
    const batch = makeMicrobatch(TASK, 0, 0);
    const labels = Int32Array.of(2, 10, 2, 7);
    const lossesOf = (at: Float32Array) =>
      wholeGradient(runEager(engine, graph.fn, graph.specs, gradientInputs(at, { ...batch, labels })));
    const rows = tensorOf(TABLE, lossesOf(weights).gradient, 'class_embedding.weight');
    const row = (label: number): Float32Array => rows.subarray(label * 16, (label + 1) * 16);
    for (const label of [0, 1, 3, 4, 5, 6, 8, 9]) assert.ok(row(label).every((g) => g === 0));
    for (const label of [2, 7, 10]) {
      const slope = globalNorm(row(label));
      const moved = (sign: number): number => {
        const there = weights.slice();
        const part = tensorOf(TABLE, there, 'class_embedding.weight').subarray(label * 16, (label + 1) * 16);
        row(label).forEach((g, i) => (part[i] += (sign * 0.2 * g) / slope));
        return mean(lossesOf(there).losses);
      };
      const difference = (moved(1) - moved(-1)) / 0.4;
      assert.ok(slope > 1e-4 && Math.abs(difference - slope) < 0.1 * slope, `${label}: ${slope}, ${difference}`);
    }
  });
}

test("what the network predicts for an image depends on the image's own label alone", () => {
  const same = predict([3, 3]);
  const other = predict([3, 8]);
  const distance = (a: Float32Array, b: Float32Array): number =>
    a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
  const rounding = 1e-4 * distance(same, new Float32Array(same.length));
  assert.ok(distance(other.subarray(0, SIZE), same.subarray(0, SIZE)) <= rounding);
  assert.ok(distance(other.subarray(SIZE), same.subarray(SIZE)) > 100 * rounding);
});

test("the target of v: an untrained network's loss is the mean square of sqrt(alphaBar) eps - sqrt(1 - alphaBar) x0", () => {
  const { fn, specs } = gradientFunction(engine, CONFIG, N, 'v');
  const batch = makeMicrobatch(TASK, 0, 0);
  const [, losses] = runEager(engine, fn, specs, gradientInputs(initialParameters(CONFIG, 3), batch)).map(floats);
  losses.forEach((loss, i) => {
    const part = (values: Float32Array): Float32Array => values.subarray(i * SIZE, (i + 1) * SIZE);
    const v = part(batch.eps).map(
      (eps, p) => batch.sqrtAlphaBar[i] * eps - batch.sqrtOneMinusAlphaBar[i] * part(batch.x0)[p],
    );
    assert.ok(Math.abs(loss - mean(v.map((value) => value * value))) < 1e-5, `${loss}`);
  });
  const ofEps = (i: number): number => mean(batch.eps.subarray(i * SIZE, (i + 1) * SIZE).map((eps) => eps * eps));
  assert.ok(losses.some((loss, i) => Math.abs(loss - ofEps(i)) > 0.05));
});

test('labels for a network that knows none, and none for one that does, are bugs of the caller', () => {
  const { tf } = engine;
  tf.tidy(() => {
    const [x, t] = [tf.zeros([1, 28, 28, 1]), tf.zeros([1])];
    const of = (config: typeof CONFIG) =>
      unflatten(engine, parameterTable(config), tf.tensor1d(initialParameters(config, 1)));
    assert.throws(() => forward(engine, CONFIG, of(CONFIG), x, t), TypeError);
    const plain = { ...CONFIG, classes: 0 };
    assert.throws(() => forward(engine, plain, of(plain), x, t, tf.tensor1d([1], 'int32')), TypeError);
  });
});
