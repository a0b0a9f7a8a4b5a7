import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SEED_SCHEDULE, WHOLE_SAMPLER } from './goldens.js';
import { clippedEps, ddimStep, ddpmStep, levelAt, respacedTimesteps } from './reverse.js';
import type { ReverseStep } from './reverse.js';
import { makeSchedule } from './schedule.js';
import type { Schedule } from './schedule.js';

const SEED = makeSchedule({ kind: 'seed', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });
const LINEAR = makeSchedule({ kind: 'linear', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });
const COSINE = makeSchedule({ kind: 'cosine', T: 1000, s: 0.008 });

type StepFunction = (schedule: Schedule, t: number, s: number) => ReverseStep;
const sqrtBeta: StepFunction = (schedule, t, s) => ddpmStep(schedule, t, s, 'beta');
const posterior: StepFunction = (schedule, t, s) => ddpmStep(schedule, t, s, 'posterior');
const ddim: StepFunction = (schedule, t, s) => ddimStep(schedule, t, s, 0);

/**
 * Mean and standard deviation of x_0 when the data are N(0.3, 0.5^2) and eps is the exact conditional mean of the noise,
 * eps = k (x - sqrt(alphaBar) 0.3). Each step is affine, so both are carried along in closed form.
 */
function wholeSampler(schedule: Schedule, step: StepFunction, steps: number): { mean: number; std: number } {
  let mean = 0;
  let variance = 1;
  const visited = respacedTimesteps(schedule.T, steps);
  visited.forEach((t, i) => {
    const alphaBar = schedule.alphaBar[t];
    const k = Math.sqrt(1 - alphaBar) / (0.25 * alphaBar + 1 - alphaBar);
    const { fromX, fromEps, sigma } = step(schedule, t, visited[i + 1] ?? 0);
    const slope = fromX + fromEps * k;
    mean = slope * mean - fromEps * k * Math.sqrt(alphaBar) * 0.3;
    variance = slope * slope * variance + sigma * sigma;
  });
  return { mean, std: Math.sqrt(variance) };
}

const CASES: readonly (readonly [string, { mean: number; std: number }, Schedule, StepFunction, number])[] = [
  ["DDPM with sigma sqrt(beta) on the seed's schedule", WHOLE_SAMPLER.seedSigmaSqrtBeta, SEED, sqrtBeta, 1000],
  ["DDPM with the posterior's sigma on the seed's schedule", WHOLE_SAMPLER.seedSigmaPosterior, SEED, posterior, 1000],
  ['DDPM with sigma sqrt(beta) on the linear schedule', WHOLE_SAMPLER.linearSigmaSqrtBeta, LINEAR, sqrtBeta, 1000],
  ['DDIM of 1000 steps on the linear schedule', WHOLE_SAMPLER.linearDdim1000, LINEAR, ddim, 1000],
  ['DDIM of 50 steps on the linear schedule', WHOLE_SAMPLER.linearDdim50, LINEAR, ddim, 50],
];

for (const [name, golden, schedule, step, steps] of CASES) {
  test(`${name} turns noise into the golden mean and deviation`, () => {
    const { mean, std } = wholeSampler(schedule, step, steps);
    // Half a unit of the ninth decimal, to which these are given.
    assert.ok(Math.abs(mean - golden.mean) <= 5e-10, `mean ${mean}`);
    assert.ok(Math.abs(std - golden.std) <= 5e-10, `std ${std}`);
  });
}

test("a reverse step of the seed's schedule gives the golden values, without noise at t = 1", () => {
  for (const [key, golden] of Object.entries(SEED_SCHEDULE.reverseStep)) {
    const t = Number(key);
    const { fromX, fromEps, sigma } = ddpmStep(SEED, t, t - 1, 'beta');
    const x = fromX * 0.5 + fromEps * 0.25 - sigma;
    assert.ok(Math.abs(x - golden) <= 1e-9 * golden, `t = ${t}: ${x}`);
    assert.equal(sigma === 0, t === 1);
  }
});

test('the last step adds no noise in any sampler, respaced or not', () => {
  for (const t of [1, 20]) {
    assert.equal(ddpmStep(LINEAR, t, 0, 'beta').sigma, 0);
    assert.equal(ddpmStep(LINEAR, t, 0, 'posterior').sigma, 0);
    assert.equal(ddimStep(LINEAR, t, 0, 1).sigma, 0);
  }
});

test('DDIM with eta 1 is DDPM with the posterior variance, step for step and respaced', () => {
  for (const schedule of [LINEAR, COSINE]) {
    for (const [t, s] of [
      [1000, 999],
      [500, 499],
      [2, 1],
      [1000, 980],
      [40, 20],
    ]) {
      const a = ddimStep(schedule, t, s, 1);
      const b = ddpmStep(schedule, t, s, 'posterior');
      for (const name of ['fromX', 'fromEps', 'sigma'] as const) {
        assert.ok(
          Math.abs(a[name] - b[name]) <= 1e-9 * Math.max(1, Math.abs(b[name])),
          `${schedule.kind} ${t} ${s} ${name}`,
        );
      }
    }
  }
});

test('a respaced DDPM step uses the previous visited step: its exact mean has the marginal of s, not of t - 1', () => {
  // With x0 known exactly, a posterior step takes q(x_t | x0) to q(x_s | x0).
  const [t, s, x0] = [500, 480, 0.7];
  const { fromX, fromEps, sigma } = ddpmStep(LINEAR, t, s, 'posterior');
  const deviation = Math.sqrt(1 - LINEAR.alphaBar[t]);
  // x_t = sqrt(alphaBar_t) x0 + deviation e, and the exact eps for that x0 is e itself.
  assert.ok(Math.abs(fromX * Math.sqrt(LINEAR.alphaBar[t]) * x0 - Math.sqrt(LINEAR.alphaBar[s]) * x0) < 1e-12);
  const spread = Math.hypot(fromX * deviation + fromEps, sigma);
  assert.ok(Math.abs(spread - Math.sqrt(1 - LINEAR.alphaBar[s])) < 1e-12, `${spread}`);
});

test('clipping an image that is outside -1..1 re-derives eps, so that the two still make x_t', () => {
  for (const [x, eps] of [
    [2, -0.9],
    [-3, 0.4],
    [1.2, -2],
  ]) {
    const t = 300;
    const used = clippedEps(levelAt(LINEAR, t), x, eps);
    const x0 = (x - Math.sqrt(1 - LINEAR.alphaBar[t]) * used) / Math.sqrt(LINEAR.alphaBar[t]);
    assert.ok(Math.abs(Math.abs(x0) - 1) < 1e-12, `x0 ${x0}`);
    assert.notEqual(used, eps);
  }
});

test('clipping leaves eps as it is when the image is inside -1..1', () => {
  assert.equal(clippedEps(levelAt(LINEAR, 300), 0.3, 0.2), 0.2);
});

test('respaced timesteps start at T, fall strictly, stay at 1 or above, and are all of 1..T when none is left out', () => {
  for (const [T, count] of [
    [1000, 50],
    [1000, 7],
    [10, 9],
    [3, 1],
  ]) {
    const visited = respacedTimesteps(T, count);
    assert.equal(visited.length, count);
    assert.equal(visited[0], T);
    assert.ok(
      visited.every((t, i) => t >= 1 && (i === 0 || t < visited[i - 1])),
      visited.join(' '),
    );
  }
  assert.deepEqual(respacedTimesteps(4, 4), [4, 3, 2, 1]);
  assert.equal(respacedTimesteps(1000, 50)[49], 20);
});
