import assert from 'node:assert/strict';
import { test } from 'node:test';

import { portableCosine } from '@lockstep/task';
import {
  COSINE_SCHEDULE,
  ISOTROPIC_OPTIMUM,
  LINEAR_SCHEDULE,
  SEED_SCHEDULE,
  SIGMOID_SCHEDULE,
} from '../goldens.fixture.js';
import { makeSchedule, minSnrWeight, qSample } from '#src/training/schedule.js';
import type { ScheduleConfig } from '#src/training/schedule.js';

const SEED = makeSchedule({ kind: 'seed', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });
const LINEAR = makeSchedule({ kind: 'linear', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });
const COSINE = makeSchedule({ kind: 'cosine', T: 1000, s: 0.008 });
const SIGMOID = makeSchedule({ kind: 'sigmoid', T: 1000, start: -3, end: 3, tau: 1 });

/** Relative, or half a unit of the last digit that the golden values are given to. */
function assertGolden(golden: Readonly<Record<number, number>>, actual: (t: number) => number, lastDigit = 0): void {
  for (const [t, value] of Object.entries(golden)) {
    const found = actual(Number(t));
    assert.ok(Math.abs(found - value) <= Math.max(1e-9 * value, lastDigit / 2), `t = ${t}: ${found}, golden ${value}`);
  }
}

test("the seed's schedule gives the golden alphaBar, beta_0 included", () => {
  assertGolden(SEED_SCHEDULE.alphaBar, (t) => SEED.alphaBar[t]);
  assert.equal(SEED.alphaBar.length, 1001);
});

test("the seed's schedule gives the golden factor of eps in a reverse step", () => {
  const factor = (t: number): number => SEED.beta[t] / Math.sqrt(1 - SEED.alphaBar[t]);
  assertGolden(SEED_SCHEDULE.oneMinusAlphaOverSqrtOneMinusAlphaBar, factor);
});

test("the seed's schedule of four steps gives the golden alphaBar", () => {
  const { alphaBar } = makeSchedule({ kind: 'seed', T: 4, firstBeta: 1e-4, lastBeta: 0.02 });
  assertGolden(SEED_SCHEDULE.alphaBarOfT4, (t) => alphaBar[t]);
});

test("q-sample of the seed's schedule gives the golden values", () => {
  assertGolden(SEED_SCHEDULE.qSample, (t) => qSample(SEED, 0.5, 0.25, t));
});

test('the linear, cosine and sigmoid schedules give the golden alphaBar and beta', () => {
  assertGolden(LINEAR_SCHEDULE.alphaBar, (t) => LINEAR.alphaBar[t]);
  assertGolden(COSINE_SCHEDULE.alphaBar, (t) => COSINE.alphaBar[t]);
  assertGolden(COSINE_SCHEDULE.beta, (t) => COSINE.beta[t]);
  assertGolden(SIGMOID_SCHEDULE.alphaBar, (t) => SIGMOID.alphaBar[t]);
});

test('the min-SNR weight gives the golden value, and 1 where the SNR is below gamma', () => {
  assertGolden({ 100: LINEAR_SCHEDULE.minSnr5WeightAt100 }, (t) => minSnrWeight(LINEAR, t, 5, 'eps'), 1e-8);
  assert.equal(minSnrWeight(LINEAR, 1000, 5, 'eps'), 1);
});

test("min-SNR weighs the error of x0 alike for eps and v: by SNR's value below gamma, by gamma above", () => {
  for (const t of [1, 100, 500, 1000]) {
    const alphaBar = LINEAR.alphaBar[t];
    const snr = alphaBar / (1 - alphaBar);
    // An error d of x0 is an error sqrt(SNR) d of eps, and d / sqrt(1 - alphaBar) of v, with x_t as it is.
    const ofX0 = Math.min(snr, 5);
    assert.ok(Math.abs(minSnrWeight(LINEAR, t, 5, 'eps') * snr - ofX0) <= 1e-12 * ofX0);
    assert.ok(Math.abs(minSnrWeight(LINEAR, t, 5, 'v') / (1 - alphaBar) - ofX0) <= 1e-12 * ofX0);
  }
  // The weight of eps used for v would be too large by (SNR + 1) / SNR: without bound where there is only noise.
  assert.ok(minSnrWeight(LINEAR, 1000, 5, 'eps') > 20_000 * minSnrWeight(LINEAR, 1000, 5, 'v'));
});

test("the loss that MNIST's deviation alone allows is the golden one, so timesteps weigh as they should", () => {
  // The pixels' deviation is 0.3081 of full ink in every description of MNIST, and full ink spans -1..1.
  const variance = (2 * 0.3081) ** 2;
  for (const [schedule, golden] of [
    [SEED, ISOTROPIC_OPTIMUM.seed],
    [COSINE, ISOTROPIC_OPTIMUM.cosine],
  ] as const) {
    const losses = schedule.alphaBar.subarray(1).map((a) => (a * variance) / (a * variance + 1 - a));
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / schedule.T;
    assert.equal(mean.toFixed(4), golden.toFixed(4));
  }
});

test('alphaBar falls strictly from step to step and stays above 0, and no beta exceeds 0.999', () => {
  for (const { kind, T, alphaBar, beta } of [SEED, LINEAR, COSINE, SIGMOID]) {
    for (let t = 1; t <= T; t++) {
      assert.ok(alphaBar[t] > 0 && alphaBar[t] < alphaBar[t - 1], `${kind} ${t}`);
      assert.ok(beta[t] <= 0.999, `${kind} ${t}`);
    }
  }
  assert.equal(COSINE.beta[1000], 0.999);
});

test('alphaBar_0 is 1 but in the schedule of the seed', () => {
  assert.deepEqual(
    [LINEAR, COSINE, SIGMOID].map(({ alphaBar }) => alphaBar[0]),
    [1, 1, 1],
  );
});

test('schedules that cannot be are refused with their code', () => {
  const bad: ScheduleConfig[] = [
    { kind: 'cosine', T: 0, s: 0.008 },
    { kind: 'cosine', T: 1.5, s: 0.008 },
    { kind: 'linear', T: 10, firstBeta: -0.1, lastBeta: 0.2 },
    { kind: 'seed', T: 10, firstBeta: 0.1, lastBeta: 1 },
    { kind: 'sigmoid', T: 10, start: 1, end: 1, tau: 1 },
  ];
  for (const config of bad) {
    assert.throws(() => makeSchedule(config), { code: 'E_SCHEDULE' }, JSON.stringify(config));
  }
});

test('the portable cosine is within 2.3e-16 of the true one over 0..pi', () => {
  // The engine's own is within one unit in the last place, 1.1e-16 below 1.
  for (let i = 0; i <= 10_000; i++) {
    const x = (Math.PI * i) / 10_000;
    assert.ok(Math.abs(portableCosine(x) - Math.cos(x)) <= 2.3e-16, `${x}`);
  }
});
