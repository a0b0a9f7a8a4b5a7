import assert from 'node:assert/strict';
import { test } from 'node:test';

import { makeMicrobatch } from '#src/training/microbatch.js';
import type { Microbatch, MicrobatchTask } from '#src/training/microbatch.js';
import { makeSchedule, minSnrWeight } from '#src/training/schedule.js';

const PIXELS = 4;
/** Ten images of 2 by 2; image i is all i. */
const DATASET = {
  images: Uint8Array.from({ length: 10 * PIXELS }, (_, p) => Math.floor(p / PIXELS)),
  labels: Uint8Array.from({ length: 10 }, (_, i) => 9 - i),
  count: 10,
  shape: { rows: 2, columns: 2, channels: 1 },
};

const TASK: MicrobatchTask = {
  seed: 3,
  dataset: DATASET,
  schedule: makeSchedule({ kind: 'cosine', T: 1000, s: 0.008 }),
  globalBatch: 8,
  microbatchSize: 2,
  timesteps: 'stratified',
  lossWeighting: 'none',
  prediction: 'eps',
  classes: 0,
  labelDrop: 0,
  networkTime: 'timestep',
};

function names(): (keyof Microbatch)[] {
  return ['indices', 'x0', 'eps', 'sqrtAlphaBar', 'sqrtOneMinusAlphaBar', 't', 'lossWeight'];
}

/** All of a step's microbatches, one after another. */
function wholeStep(task: MicrobatchTask, step: number): number[][] {
  const parts = Array.from({ length: task.globalBatch / task.microbatchSize }, (_, i) => makeMicrobatch(task, step, i));
  return names().map((name) => parts.flatMap((part) => [...(part[name] ?? [])]));
}

/** Dataset index of each sample of a step, read back from its pixels. */
function samplesOf(step: number): number[] {
  const x0 = wholeStep(TASK, step)[1];
  return x0.filter((_, i) => i % PIXELS === 0).map((value) => Math.round((value + 1) * 127.5));
}

for (const timesteps of ['uniform', 'stratified'] as const) {
  test(`a step has the same samples, ${timesteps} timesteps and noise however it is cut into microbatches`, () => {
    const task = { ...TASK, timesteps };
    const whole = wholeStep({ ...task, microbatchSize: 8 }, 5);
    for (const microbatchSize of [1, 2, 4]) {
      assert.deepEqual(wholeStep({ ...task, microbatchSize }, 5), whole);
    }
  });
}

test('microbatches asked for in reverse order, and twice, are the same', () => {
  const forward = [0, 1, 2, 3].map((index) => makeMicrobatch(TASK, 9, index));
  const backward = [3, 2, 1, 0].map((index) => makeMicrobatch(TASK, 9, index));
  assert.deepEqual(forward, backward.toReversed());
});

test('batches that do not divide the data set still take every sample once an epoch', () => {
  const taken = [0, 1, 2, 3, 4].flatMap((step) => samplesOf(step));
  for (let epoch = 0; epoch < 4; epoch++) {
    const seen = taken.slice(epoch * 10, (epoch + 1) * 10).sort((a, b) => a - b);
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
});

test('the indices are those of the images in the batch', () => {
  for (const step of [0, 1, 2, 7]) {
    assert.deepEqual(wholeStep(TASK, step)[0], samplesOf(step));
  }
});

test("the noise levels are the schedule's at the timestep that the network sees", () => {
  const batch = makeMicrobatch(TASK, 0, 1);
  batch.t.forEach((t, i) => {
    const alphaBar = TASK.schedule.alphaBar[t];
    assert.equal(batch.sqrtAlphaBar[i], Math.fround(Math.sqrt(alphaBar)));
    assert.equal(batch.sqrtOneMinusAlphaBar[i], Math.fround(Math.sqrt(1 - alphaBar)));
  });
});

test('timesteps T and 1 are both trained, and none outside', () => {
  const schedule = makeSchedule({ kind: 'linear', T: 3, firstBeta: 0.1, lastBeta: 0.2 });
  for (const timesteps of ['uniform', 'stratified'] as const) {
    const seen = new Set<number>();
    for (let step = 0; step < 30; step++) {
      makeMicrobatch({ ...TASK, schedule, timesteps }, step, 0).t.forEach((t) => seen.add(t));
    }
    assert.deepEqual([...seen].sort(), [1, 2, 3], timesteps);
  }
});

test("the network's time is t or t / T", () => {
  const whole = makeMicrobatch(TASK, 2, 0).t;
  const fraction = makeMicrobatch({ ...TASK, networkTime: 'fraction' }, 2, 0).t;
  assert.deepEqual(
    fraction,
    whole.map((t) => t / 1000),
  );
});

test('weights are 1, or min-SNR of the timestep', () => {
  assert.deepEqual([...makeMicrobatch(TASK, 2, 0).lossWeight], [1, 1]);
  const { t, lossWeight } = makeMicrobatch({ ...TASK, lossWeighting: 'min-snr' }, 2, 0);
  assert.deepEqual(
    lossWeight,
    t.map((value) => minSnrWeight(TASK.schedule, value, 5, 'eps')),
  );
});

test('of images in colour every number has its own byte and its own noise', () => {
  const shape = { rows: 2, columns: 2, channels: 3 };
  const images = Uint8Array.from({ length: 120 }, (_, i) => i);
  const { indices, x0, eps } = makeMicrobatch({ ...TASK, dataset: { ...DATASET, images, shape } }, 2, 1);
  assert.deepEqual([x0.length, eps.length], [24, 24]);
  indices.forEach((index, i) =>
    assert.deepEqual(
      x0.slice(12 * i, 12 * i + 12),
      Float32Array.from(images.slice(12 * index, 12 * index + 12), (byte) => byte / 127.5 - 1),
    ),
  );
  assert.equal(new Set(eps).size, 24);
  // The first numbers of a sample's noise are those that a smaller image at its place has.
  const { eps: grey } = makeMicrobatch(TASK, 2, 1);
  assert.deepEqual(eps.subarray(12, 16), grey.subarray(4, 8));
});

const CONDITIONAL: MicrobatchTask = { ...TASK, classes: 10, labelDrop: 0.5 };

test('a network without classes gets no labels', () => {
  assert.equal(makeMicrobatch(TASK, 0, 0).labels, null);
});

test("a sample's label is its own, or none, however the step is cut into microbatches", () => {
  for (const step of [0, 1, 5]) {
    const whole = makeMicrobatch({ ...CONDITIONAL, microbatchSize: 8 }, step, 0);
    const { labels, indices } = whole;
    labels?.forEach((label, i) => assert.ok(label === 10 || label === DATASET.labels[indices[i]]));
    const cut = [0, 1, 2, 3].flatMap((index) => [...(makeMicrobatch(CONDITIONAL, step, index).labels ?? [])]);
    assert.deepEqual(cut, [...(labels ?? [])]);
  }
});

test('labels are dropped with the probability that is asked for, and with 0 never', () => {
  const [steps, dropped] = [2000, (task: MicrobatchTask, step: number) => makeMicrobatch(task, step, 0).labels ?? []];
  for (const labelDrop of [0, 0.1, 1]) {
    let none = 0;
    for (let step = 0; step < steps; step++) {
      for (const label of dropped({ ...CONDITIONAL, microbatchSize: 8, labelDrop }, step)) if (label === 10) none++;
    }
    const n = 8 * steps;
    assert.ok(Math.abs(none - labelDrop * n) <= 5 * Math.sqrt(n * labelDrop * (1 - labelDrop)), `${none} of ${n}`);
  }
});

test('which labels are dropped changes with seed, step and position, and no other number of the microbatch with it', () => {
  const none = (task: MicrobatchTask): boolean[] =>
    [0, 1, 2, 3].flatMap((step) => [...(makeMicrobatch(task, step, 0).labels ?? [])].map((label) => label === 10));
  const task = { ...CONDITIONAL, microbatchSize: 8 };
  assert.notDeepEqual(none({ ...task, seed: 4 }), none(task));
  assert.notDeepEqual(none(task).slice(0, 8), none(task).slice(8, 16));
  assert.ok(new Set(none(task).slice(0, 8)).size === 2);
  assert.deepEqual(
    { ...makeMicrobatch(task, 3, 0), labels: null },
    makeMicrobatch({ ...TASK, microbatchSize: 8 }, 3, 0),
  );
});

test('a data set with more classes than the network is refused with its code', () => {
  assert.throws(() => makeMicrobatch({ ...CONDITIONAL, classes: 5, microbatchSize: 8 }, 0, 0), {
    code: 'E_LABEL',
    message: /labels from 0 to 4/,
  });
});

test('two samples, two steps and two seeds have different noise', () => {
  const { eps } = makeMicrobatch(TASK, 0, 0);
  assert.notDeepEqual(eps.subarray(0, PIXELS), eps.subarray(PIXELS));
  assert.notDeepEqual(makeMicrobatch(TASK, 1, 0).eps, eps);
  assert.notDeepEqual(makeMicrobatch({ ...TASK, seed: 4 }, 0, 0).eps, eps);
});

test('sizes that do not divide, and microbatches that a step does not have, are refused with their code', () => {
  const refused = { code: 'E_MICROBATCH' };
  for (const index of [-1, 4, 0.5]) {
    assert.throws(() => makeMicrobatch(TASK, 0, index), refused, `${index}`);
  }
  assert.throws(() => makeMicrobatch({ ...TASK, microbatchSize: 3 }, 0, 0), refused);
  assert.throws(() => makeMicrobatch({ ...TASK, microbatchSize: 16 }, 0, 0), refused);
});
