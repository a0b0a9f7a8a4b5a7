import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compile, runEager } from '@lockstep/engine';

import {
  classifierGradient,
  classifierPrediction,
  classifierTable,
  FEATURES,
  initialClassifier,
} from '#src/classifier.js';
import { CLASSIFIER_RECIPE, trainClassifier } from '#src/classifier-training.js';
import type { LabelledImages } from '#src/classifier-training.js';
import { STREAMS, fillUniform, globalNorm, loadMnist, parameterCount, valuesOf } from '@lockstep/diffusion';
import { floats, testEngine } from '@lockstep/diffusion/engine.fixture';
import { accuracyOf, makeJudge, trainOnSyntheticAccuracy } from '#src/judge.js';

const engine = testEngine();
const CONFIG = { kind: 'lenet', shape: { rows: 28, columns: 28, channels: 1 }, classes: 10 } as const;
const SMALL = { kind: 'lenet', shape: { rows: 16, columns: 14, channels: 1 }, classes: 3 } as const;

function part(split: 'train' | 'test', count: number, first = 0): LabelledImages {
  const { images, labels, shape } = loadMnist(split);
  const size = valuesOf(shape);
  return {
    images: images.subarray(first * size, (first + count) * size),
    labels: labels.subarray(first, first + count),
    count,
    shape,
  };
}

function randomImages(n: number, size: number): Float32Array {
  const x = new Float32Array(n * size);
  fillUniform(x, 1, { seed: 3, stream: STREAMS.noise, step: 0, position: 0 });
  return x;
}

test("LeNet's tensors have the shapes that its layers say", () => {
  const shapes = Object.fromEntries(classifierTable(CONFIG).map(({ name, shape }) => [name, shape.join()]));
  assert.deepEqual(
    [shapes['conv1.weight'], shapes['conv2.weight'], shapes['fc1.weight'], shapes['fc2.weight'], shapes['fc3.weight']],
    ['5,5,1,16', '5,5,16,32', '800,120', '120,84', '84,10'],
  );
  assert.equal(parameterCount(classifierTable(CONFIG)), 416 + 12_832 + 96_120 + 10_164 + 850);
});

test("its gradient and its prediction are programs, and give what TensorFlow's ops give", () => {
  const n = 4;
  const target = Float32Array.from({ length: n * 3 }, (_, i) => (i % 3 === i % 2 ? 1 : 0));
  const inputs = [initialClassifier(SMALL, 1), randomImages(n, 16 * 14), target];
  for (const { fn, specs } of [classifierGradient(engine, SMALL, n), classifierPrediction(engine, SMALL, n)]) {
    const given = inputs.slice(0, specs.length);
    const compiled = compile(engine, fn, specs);
    assert.deepEqual(compiled.info.uncovered, []);
    assert.equal(compiled.info.runsOn, 'program');
    const found = compiled.run(given);
    compiled.dispose();
    for (const [index, expected] of runEager(engine, fn, specs, given).map(floats).entries()) {
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const error = expected.reduce((most, value, at) => Math.max(most, Math.abs(value - found[index][at])), 0);
      assert.ok(largest > 0 && error <= 1e-5 * largest, `output ${index}: ${error} of ${largest}`);
    }
  }
});

test('its loss is the cross-entropy of its own logits, and its gradient the slope of the mean loss', () => {
  const n = 4;
  const [gradientOf, predicts] = [classifierGradient(engine, SMALL, n), classifierPrediction(engine, SMALL, n)];
  const weights = initialClassifier(SMALL, 1);
  const x = randomImages(n, 16 * 14);
  const labels = [2, 0, 1, 2];
  const target = Float32Array.from({ length: n * 3 }, (_, i) => (labels[Math.floor(i / 3)] === i % 3 ? 1 : 0));
  const losses = (at: Float32Array): Float32Array =>
    floats(runEager(engine, gradientOf.fn, gradientOf.specs, [at, x, target])[1]);
  const [features, logits] = runEager(engine, predicts.fn, predicts.specs, [weights, x]).map(floats);
  assert.equal(features.length, n * FEATURES);
  assert.ok(features.every((value) => value >= 0) && features.some((value) => value > 0));
  losses(weights).forEach((loss, i) => {
    const row = [...logits.subarray(3 * i, 3 * i + 3)];
    const expected = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[labels[i]];
    assert.ok(Math.abs(loss - expected) < 1e-5);
  });
  const gradient = floats(runEager(engine, gradientOf.fn, gradientOf.specs, [weights, x, target])[0]);
  const slope = globalNorm(gradient);
  const moved = (step: number): number =>
    losses(weights.map((w, i) => w + (step * gradient[i]) / slope)).reduce((sum, loss) => sum + loss / n, 0);
  // Short, as ReLU and pooling have kinks.
  const difference = (moved(0.002) - moved(-0.002)) / 0.004;
  assert.ok(Math.abs(difference / slope - 1) < 0.01, `slope ${slope}, difference ${difference}`);
});

test('trained on a few hundred steps of digits it reads 95 % of the test images, the same bits every time', () => {
  const train = part('train', 20_000);
  const held = part('test', 2000, 4000);
  const recipe = { ...CLASSIFIER_RECIPE, steps: 250, warmupSteps: 20 };
  const { ema } = trainClassifier(engine, CONFIG, train, recipe);
  const judge = makeJudge(engine, CONFIG, ema);
  const accuracy = accuracyOf(judge(held).labels, held.labels);
  assert.ok(accuracy > 0.95, `${accuracy}`);
  const short = { ...recipe, steps: 5 };
  assert.deepEqual(trainClassifier(engine, CONFIG, train, short), trainClassifier(engine, CONFIG, train, short));
  // Batches of the judge are filled up; images must not notice.
  const all = judge(held);
  const few = judge({ ...held, images: held.images.subarray(0, 7 * 784), count: 7 });
  assert.deepEqual(few.labels, all.labels.subarray(0, 7));
  few.features.forEach((value, i) => assert.ok(Math.abs(value - all.features[i]) < 1e-4));
  judge.dispose();
});

test('trained on images with their right labels it reads real ones, with wrong labels it does not', () => {
  const recipe = { ...CLASSIFIER_RECIPE, steps: 120, warmupSteps: 10 };
  const source = part('train', 2000);
  const real = part('test', 500, 5000);
  const accuracy = trainOnSyntheticAccuracy(engine, CONFIG, recipe, source, real);
  assert.ok(accuracy > 0.9, `${accuracy}`);
  const wrong = { ...source, labels: source.labels.map((label) => (label + 1) % 10) };
  assert.ok(trainOnSyntheticAccuracy(engine, CONFIG, recipe, wrong, real) < 0.1);
});

test('images that it cannot be trained on, and sizes that it cannot have, are refused', () => {
  const labels = Uint8Array.of(0, 10);
  const two = { images: new Uint8Array(2 * 784), labels, count: 2, shape: CONFIG.shape };
  const code = { code: 'E_CLASSIFIER_DATA' };
  assert.throws(() => trainClassifier(engine, CONFIG, two, CLASSIFIER_RECIPE), code);
  assert.throws(() => trainClassifier(engine, CONFIG, { ...two, count: 0 }, CLASSIFIER_RECIPE), code);
  assert.throws(() => classifierTable({ ...CONFIG, shape: { ...CONFIG.shape, rows: 8 } }), { code: 'E_MODEL_CONFIG' });
});
