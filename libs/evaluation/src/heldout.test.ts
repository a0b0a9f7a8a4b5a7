import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chooseImages, noiseErrorByQuartile } from '#src/heldout.js';
import type { NoiseErrorTask } from '#src/heldout.js';
import { PRESETS, makeSchedule } from '@lockstep/diffusion';

const schedule = makeSchedule(PRESETS.default.schedule);
const GREY = 51;
const X0 = GREY / 127.5 - 1;

/** Images of one grey, whose noise is therefore known: eps = (x - sqrt(alphaBar) X0) / sqrt(1 - alphaBar). */
const task: NoiseErrorTask = {
  dataset: { images: new Uint8Array(100 * 64).fill(GREY), count: 100, shape: { rows: 8, columns: 8, channels: 1 } },
  schedule,
  eps: (x, t) => x.map((value) => (value - Math.sqrt(schedule.alphaBar[t]) * X0) / Math.sqrt(1 - schedule.alphaBar[t])),
  batchSize: 3,
  batches: 32,
  seed: 1,
};

test('a perfect prediction has no error, at any t', () => {
  // x is float32, and at t = 1 its noise is a hundredth of it.
  for (const error of noiseErrorByQuartile(task)) assert.ok(error < 1e-10, `${error}`);
});

test('a prediction of zero has the error 1, the variance of the noise', () => {
  const errors = noiseErrorByQuartile({ ...task, eps: (x) => new Float32Array(x.length) });
  for (const error of errors) assert.ok(Math.abs(error - 1) < 0.1, `${error}`);
});

test('each quartile has the error made at its own timesteps', () => {
  const wrongBy = (t: number): number => Math.ceil((4 * t) / schedule.T);
  const errors = noiseErrorByQuartile({ ...task, eps: (x, t) => task.eps(x, t).map((value) => value + wrongBy(t)) });
  errors.forEach((error, i) => assert.ok(Math.abs(error - (i + 1) ** 2) < 1e-3, `${error}`));
});

test('timesteps are spread over 1..T, one in each of as many parts as there are batches, and follow from the seed', () => {
  const timesteps = (seed: number): number[] => {
    const asked: number[] = [];
    noiseErrorByQuartile({ ...task, seed, eps: (x, t) => (asked.push(t), x) });
    return asked;
  };
  const asked = timesteps(1);
  const part = schedule.T / task.batches;
  asked.forEach((t, i) => assert.ok(t >= 1 + Math.floor(i * part) && t <= 1 + (i + 1) * part, `${i}: ${t}`));
  assert.deepEqual(timesteps(1), asked);
  assert.notDeepEqual(timesteps(2), asked);
});

test('chosen images are all different, from the whole set, and a smaller choice begins a larger one', () => {
  const all = chooseImages(1000, 1000, 3);
  assert.deepEqual(
    [...all].sort((a, b) => a - b),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  const some = chooseImages(1000, 100, 3);
  assert.deepEqual(some, all.slice(0, 100));
  assert.ok(some.some((index) => index > 900) && some.some((index) => index < 100));
});

test('more images than there are, and batches that do not make quartiles, are refused', () => {
  assert.throws(() => noiseErrorByQuartile({ ...task, batchSize: 4 }), { code: 'E_METRIC' });
  assert.throws(() => noiseErrorByQuartile({ ...task, batches: 30 }), { code: 'E_METRIC' });
  assert.throws(() => chooseImages(5, 0, 0), { code: 'E_METRIC' });
});
