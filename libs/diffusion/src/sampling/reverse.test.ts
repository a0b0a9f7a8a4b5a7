import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SEED_SCHEDULE, WHOLE_SAMPLER } from '../goldens.fixture.js';
import {
  clippedEps,
  ddimStep,
  ddpmStep,
  dpmpp2mStep,
  imageOf,
  levelAt,
  respacedTimesteps,
} from '#src/sampling/reverse.js';
import type { ReverseStep } from '#src/sampling/reverse.js';
import { makeSchedule } from '#src/training/schedule.js';
import type { Schedule } from '#src/training/schedule.js';

const SEED = makeSchedule({ kind: 'seed', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });
const LINEAR = makeSchedule({ kind: 'linear', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });
const COSINE = makeSchedule({ kind: 'cosine', T: 1000, s: 0.008 });

type StepFunction = (schedule: Schedule, t: number, s: number, last: number | null) => ReverseStep;
const sqrtBeta: StepFunction = (schedule, t, s) => ddpmStep(schedule, t, s, 'beta');
const posterior: StepFunction = (schedule, t, s) => ddpmStep(schedule, t, s, 'posterior');
const ddim: StepFunction = (schedule, t, s) => ddimStep(schedule, t, s, 0);
const dpmpp2m: StepFunction = dpmpp2mStep;

/** Data N(0.3, 0.5^2), for which eps is known: the conditional mean of the noise, k (x - sqrt(alphaBar) 0.3). */
const [MEAN, STD] = [0.3, 0.5];

/** An image's mean and deviation, as it goes from step to step: x = mean + std z, z the noise at the start. */
type Affine = { readonly mean: number; readonly std: number };

function exactEps(schedule: Schedule, t: number, x: Affine): Affine {
  const { signal, noise } = levelAt(schedule, t);
  const k = noise / (STD * STD * signal * signal + noise * noise);
  return { mean: k * (x.mean - signal * MEAN), std: k * x.std };
}

function weighted(...terms: readonly (readonly [number, Affine])[]): Affine {
  const sum = (part: keyof Affine): number => terms.reduce((total, [factor, term]) => total + factor * term[part], 0);
  return { mean: sum('mean'), std: sum('std') };
}

/**
 * Mean and standard deviation of what a sampler makes of `start` by the visited steps, with exact eps. Each step is affine, so
 * both are carried along in closed form; fresh noise adds to the variance.
 */
function wholeSampler(
  schedule: Schedule,
  step: StepFunction,
  visited: readonly number[],
  end = 0,
  start: Affine = { mean: 0, std: 1 },
): Affine {
  let x = start;
  let lastX0: Affine = { mean: 0, std: 0 };
  visited.forEach((t, i) => {
    const eps = exactEps(schedule, t, x);
    const { signal, noise } = levelAt(schedule, t);
    const x0 = weighted([1 / signal, x], [-noise / signal, eps]);
    const of = step(schedule, t, visited[i + 1] ?? end, visited[i - 1] ?? null);
    const { mean, std } = weighted([of.fromX, x], [of.fromEps, eps], [of.fromX0, x0], [of.fromLastX0, lastX0]);
    x = { mean, std: Math.hypot(std, of.sigma) };
    lastX0 = x0;
  });
  return x;
}

/** Where the probability-flow ODE takes `start` from t to s: it keeps the distance from the mean in standard deviations. */
function exactFlow(schedule: Schedule, t: number, s: number, start: Affine): Affine {
  const [from, to] = [levelAt(schedule, t), levelAt(schedule, s)];
  const spread = (level: typeof from): number => Math.hypot(STD * level.signal, level.noise);
  const ratio = spread(to) / spread(from);
  return { mean: to.signal * MEAN + ratio * (start.mean - from.signal * MEAN), std: ratio * start.std };
}

const CASES: readonly (readonly [string, { mean: number; std: number }, Schedule, StepFunction, number])[] = [
  ["DDPM with sigma sqrt(beta) on the seed's schedule", WHOLE_SAMPLER.seedSigmaSqrtBeta, SEED, sqrtBeta, 1000],
  ["DDPM with the posterior's sigma on the seed's schedule", WHOLE_SAMPLER.seedSigmaPosterior, SEED, posterior, 1000],
  ['DDPM with sigma sqrt(beta) on the linear schedule', WHOLE_SAMPLER.linearSigmaSqrtBeta, LINEAR, sqrtBeta, 1000],
  ['DDIM of 1000 steps on the linear schedule', WHOLE_SAMPLER.linearDdim1000, LINEAR, ddim, 1000],
  ['DDIM of 50 steps on the linear schedule', WHOLE_SAMPLER.linearDdim50, LINEAR, ddim, 50],
  ['DPM-Solver++ 2M of 20 steps on the linear schedule', WHOLE_SAMPLER.linearDpmpp2m20, LINEAR, dpmpp2m, 20],
  ['DPM-Solver++ 2M of 50 steps on the linear schedule', WHOLE_SAMPLER.linearDpmpp2m50, LINEAR, dpmpp2m, 50],
];

for (const [name, golden, schedule, step, steps] of CASES) {
  test(`${name} turns noise into the golden mean and deviation`, () => {
    const { mean, std } = wholeSampler(schedule, step, respacedTimesteps(schedule.T, steps));
    // Half a unit of the ninth decimal, to which these are given.
    assert.ok(Math.abs(mean - golden.mean) <= 5e-10, `mean ${mean}`);
    assert.ok(Math.abs(std - golden.std) <= 5e-10, `std ${std}`);
  });
}

/** DPM-Solver++ (2M) for these data, from its paper's algorithm 2 with alphas, sigmas and lambdas alone. */
function independent2m(schedule: Schedule, visited: readonly number[]): Affine {
  const alpha = visited.map((t) => Math.sqrt(schedule.alphaBar[t]));
  const sigma = visited.map((t) => Math.sqrt(1 - schedule.alphaBar[t]));
  const lambda = visited.map((_, i) => Math.log(alpha[i]) - Math.log(sigma[i]));
  // The exact image of x at step i is the posterior mean, m + gain (x - alpha m).
  const gain = visited.map((_, i) => (STD ** 2 * alpha[i]) / (STD ** 2 * alpha[i] ** 2 + sigma[i] ** 2));
  const image = (i: number, x: Affine): Affine => ({
    mean: MEAN + gain[i] * (x.mean - alpha[i] * MEAN),
    std: gain[i] * x.std,
  });
  let x: Affine = { mean: 0, std: 1 };
  const images: Affine[] = [];
  for (let i = 0; i + 1 < visited.length; i++) {
    images.push(image(i, x));
    const h = lambda[i + 1] - lambda[i];
    const r = i === 0 ? Infinity : (lambda[i] - lambda[i - 1]) / h;
    const D = i === 0 ? images[0] : weighted([1 + 0.5 / r, images[i]], [-0.5 / r, images[i - 1]]);
    x = weighted([sigma[i + 1] / sigma[i], x], [-alpha[i + 1] * (Math.exp(-h) - 1), D]);
  }
  return image(visited.length - 1, x);
}

for (const schedule of [LINEAR, COSINE]) {
  for (const steps of [1, 2, 5, 10, 20, 50]) {
    test(`DPM-Solver++ 2M of ${steps} steps on the ${schedule.kind} schedule gives the mean and deviation of its paper's recursion`, () => {
      const visited = respacedTimesteps(1000, steps);
      const { mean, std } = wholeSampler(schedule, dpmpp2m, visited);
      const expected = independent2m(schedule, visited);
      assert.ok(Math.abs(mean - expected.mean) <= 1e-10, `mean ${mean}, ${expected.mean}`);
      assert.ok(Math.abs(std - expected.std) <= 1e-10, `std ${std}, ${expected.std}`);
    });
  }
}

/** How far a solver of N equal steps from t = 1000 ends from the exact solution at t = 200. */
function flowError(step: StepFunction, N: number): number {
  const start = { mean: 0, std: 1 };
  const visited = Array.from({ length: N }, (_, i) => 1000 - (800 * i) / N);
  const exact = exactFlow(LINEAR, 1000, 200, start);
  return Math.abs(wholeSampler(LINEAR, step, visited, 200, start).std - exact.std);
}

test('DPM-Solver++ 2M converges to the exact solution of the flow with order 2, and DDIM with order 1', () => {
  const order = (step: StepFunction, N: number): number => Math.log2(flowError(step, N) / flowError(step, 2 * N));
  for (const N of [50, 100, 200]) {
    assert.ok(Math.abs(order(dpmpp2m, N) - 2) < 0.15, `${N}: ${order(dpmpp2m, N)}`);
    assert.ok(Math.abs(order(ddim, N) - 1) < 0.15, `${N}: ${order(ddim, N)}`);
  }
  assert.ok(flowError(dpmpp2m, 50) < flowError(ddim, 50) / 15);
});

/** 2M with another factor of the x0 of the step before, and the rest of D on the newest. */
function miscorrected(wrong: (correction: number) => number): StepFunction {
  return (schedule, t, s, last) => {
    const step = dpmpp2mStep(schedule, t, s, last);
    const fromD = step.fromX0 + step.fromLastX0;
    const correction = wrong(-step.fromLastX0 / fromD);
    return { ...step, fromX0: fromD * (1 + correction), fromLastX0: -fromD * correction };
  };
}

test('DPM-Solver++ 2M with the correction of the wrong sign, twice as large, or none at all, has order 1 only', () => {
  for (const factor of [-1, 2, 0]) {
    const mistaken = miscorrected((correction) => factor * correction);
    assert.ok(flowError(mistaken, 100) > 30 * flowError(dpmpp2m, 100), `${factor}`);
    assert.ok(Math.log2(flowError(mistaken, 100) / flowError(mistaken, 200)) < 1.2, `${factor}`);
  }
});

test("DPM-Solver++ 2M with r upside down misses the paper's recursion by far", () => {
  const visited = respacedTimesteps(1000, 10);
  // 1 / 2r becomes r / 2.
  const mistaken = miscorrected((correction) => (correction === 0 ? 0 : 1 / (4 * correction)));
  const { std } = wholeSampler(LINEAR, mistaken, visited);
  assert.ok(Math.abs(std - independent2m(LINEAR, visited).std) > 0.01, `${std}`);
});

test('the first and the last step of DPM-Solver++ 2M are of first order: the last is the predicted image itself', () => {
  assert.equal(dpmpp2mStep(LINEAR, 1000, 950, null).fromLastX0, 0);
  const { fromX, fromX0, fromLastX0, sigma } = dpmpp2mStep(LINEAR, 50, 0, 100);
  assert.deepEqual([fromX, fromX0, fromLastX0, sigma], [0, 1, 0, 0]);
});

test("a first-order DPM-Solver++ step is DDIM's", () => {
  for (const [t, s] of [
    [1000, 950],
    [500, 499],
    [50, 0],
  ]) {
    const [a, b] = [dpmpp2mStep(COSINE, t, s, null), ddimStep(COSINE, t, s, 0)];
    const [x, eps] = [0.4, -0.7];
    const x0 = imageOf(levelAt(COSINE, t), x, eps);
    assert.ok(Math.abs(a.fromX * x + a.fromX0 * x0 - (b.fromX0 * x0 + b.fromEps * eps)) < 1e-10 * Math.abs(x0));
  }
});

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
      for (const [x, eps] of [
        [1, 0],
        [0, 1],
      ]) {
        const x0 = imageOf(levelAt(schedule, t), x, eps);
        const ddpm = b.fromX * x + b.fromEps * eps;
        assert.ok(Math.abs(a.fromX0 * x0 + a.fromEps * eps - ddpm) <= 1e-9 * Math.max(1, Math.abs(ddpm)));
      }
      assert.ok(Math.abs(a.sigma - b.sigma) <= 1e-9, `${schedule.kind} ${t} ${s}`);
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

test("a step from the wrong alphaBar, that of t - 1 in place of the next visited step's, misses the golden values by far", () => {
  const mistaken: StepFunction = (schedule, t) => ddimStep(schedule, t, t - 1, 0);
  const { std } = wholeSampler(LINEAR, mistaken, respacedTimesteps(1000, 50));
  assert.ok(Math.abs(std - WHOLE_SAMPLER.linearDdim50.std) > 0.3, `std ${std}`);
});

test('noise in the step from t = 1, a well-known mistake, widens the golden deviation of DDPM', () => {
  const mistaken: StepFunction = (schedule, t, s) => {
    const step = ddpmStep(schedule, t, s, 'beta');
    return s === 0 ? { ...step, sigma: Math.sqrt(schedule.beta[t]) } : step;
  };
  const { std } = wholeSampler(LINEAR, mistaken, respacedTimesteps(1000, 1000));
  assert.ok(std - WHOLE_SAMPLER.linearSigmaSqrtBeta.std > 0.9e-4, `std ${std}`);
  const respaced = (step: StepFunction): number => wholeSampler(LINEAR, step, respacedTimesteps(1000, 20)).std;
  const noisy: StepFunction = (schedule, t, s) =>
    s === 0 ? { ...ddpmStep(schedule, t, s, 'beta'), sigma: 0.2 } : ddpmStep(schedule, t, s, 'beta');
  assert.ok(respaced(noisy) > respaced(sqrtBeta) + 0.03);
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
