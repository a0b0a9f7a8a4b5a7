import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  adamStep,
  clipScale,
  emaDecayAt,
  emaWarmup,
  globalNorm,
  integerPower,
  learningRateAt,
} from '#src/optimizer/optimizer.js';
import { ARITHMETICS, BLOCK, type StateArrays } from '@lockstep/base';
import type { AdamStep } from '#src/optimizer/optimizer.js';

/** 1 - (1 + n)^-0.75, computed independently of this code. */
const EMA_WARMUP = { 10: 0.83443997, 1000: 0.9943808 } as const;

const UPDATE: AdamStep = {
  learningRate: 0.1,
  beta1: 0.9,
  beta2: 0.99,
  eps: 1e-8,
  step: 0,
  clipScale: 1,
  emaDecay: 0.5,
};

function stateOf(weights: readonly number[]): StateArrays {
  const zeros = (): Float32Array => new Float32Array(weights.length);
  return { weights: Float32Array.from(weights), expAvg: zeros(), expAvgSq: zeros(), ema: Float32Array.from(weights) };
}

test('the first update moves every weight by the learning rate against its gradient', () => {
  const state = stateOf([1, 2, -3, 4]);
  adamStep(state, Float32Array.of(0.5, -20, 1e-3, 0), UPDATE);
  [0.9, 2.1, -3.1, 4].forEach((expected, i) =>
    assert.ok(Math.abs(state.weights[i] - expected) < 1e-5, `${state.weights[i]}`),
  );
});

test('two updates give the hand-computed moments, weight and average', () => {
  const state = stateOf([1]);
  adamStep(state, Float32Array.of(2), UPDATE);
  adamStep(state, Float32Array.of(-1), { ...UPDATE, step: 1 });
  // m: 0.2 then 0.08; v: 0.04 then 0.0496; corrections 0.19 and 0.0199; weight 0.9 - 0.1 (0.08/0.19) / sqrt(0.0496/0.0199).
  const weight = 0.9 - (0.1 * (0.08 / 0.19)) / Math.sqrt(0.0496 / 0.0199);
  const average = 0.5 * (0.5 * 1 + 0.5 * 0.9) + 0.5 * weight;
  const found = [state.expAvg[0], state.expAvgSq[0], state.weights[0], state.ema[0]];
  [0.08, 0.0496, weight, average].forEach((expected, i) =>
    assert.ok(Math.abs(found[i] - expected) < 2e-7, `${found[i]} ${expected}`),
  );
});

test("many updates follow PyTorch's formula in float64 within float32 rounding", () => {
  const updates = 200;
  const gradientAt = (step: number): number => Math.fround(Math.sin(step * 1.7) + 0.3);
  const state = stateOf([0.25]);
  let [w, m, v] = [0.25, 0, 0];
  for (let step = 0; step < updates; step++) {
    const g = gradientAt(step);
    adamStep(state, Float32Array.of(g), { ...UPDATE, learningRate: 1e-2, step });
    m += (g - m) * (1 - 0.9);
    v = v * 0.99 + (1 - 0.99) * g * g;
    const denominator = Math.sqrt(v) / Math.sqrt(1 - 0.99 ** (step + 1)) + 1e-8;
    w -= ((1e-2 / (1 - 0.9 ** (step + 1))) * m) / denominator;
  }
  assert.ok(Math.abs(state.weights[0] - w) < 1e-5, `${state.weights[0]} ${w}`);
});

test('the clip scale acts on the gradient before the moments', () => {
  const [clipped, halved] = [stateOf([1]), stateOf([1])];
  adamStep(clipped, Float32Array.of(3), { ...UPDATE, clipScale: 0.5 });
  adamStep(halved, Float32Array.of(1.5), UPDATE);
  assert.deepEqual(clipped, halved);
});

test('the average follows the new weights, not the old ones', () => {
  const state = stateOf([1]);
  adamStep(state, Float32Array.of(1), { ...UPDATE, emaDecay: 0 });
  assert.equal(state.ema[0], state.weights[0]);
  assert.notEqual(state.ema[0], 1);
});

test('a state on shared memory gets the same bytes as one on private memory', () => {
  const shared = (values: Float32Array): Float32Array => {
    const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
    copy.set(values);
    return copy;
  };
  const own = stateOf([1, 2, 3]);
  const common = {
    weights: shared(own.weights),
    expAvg: shared(own.expAvg),
    expAvgSq: shared(own.expAvgSq),
    ema: shared(own.ema),
  };
  const gradient = Float32Array.of(0.1, -0.2, 0.3);
  adamStep(own, gradient, UPDATE);
  adamStep(common, gradient, UPDATE);
  assert.deepEqual([...common.weights, ...common.ema], [...own.weights, ...own.ema]);
});

test('the update is the same for each element wherever it stands', () => {
  const float = fc.float({ min: -10, max: 10, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(float, float), { minLength: 1, maxLength: 20 }), (pairs) => {
      const whole = stateOf(pairs.map(([w]) => w));
      adamStep(whole, Float32Array.from(pairs.map(([, g]) => g)), UPDATE);
      pairs.forEach(([w, g], i) => {
        const one = stateOf([w]);
        adamStep(one, Float32Array.of(g), UPDATE);
        for (const name of ['weights', 'expAvg', 'expAvgSq', 'ema'] as const) {
          assert.equal(whole[name][i], one[name][0], name);
        }
      });
    }),
  );
});

test('the global norm is the Euclidean one, and a gradient above the limit is scaled down to it', () => {
  assert.equal(globalNorm(Float32Array.of(3, 0, -4)), 5);
  assert.equal(globalNorm(new Float32Array(0)), 0);
  assert.equal(clipScale(5, 1), 0.2);
  assert.equal(clipScale(0.5, 1), 1);
  assert.equal(clipScale(0, 1), 1);
});

/** Norms as they were when each arithmetic came: they decide the weights of runs on disk. */
const NORMS: Readonly<Record<number, readonly [number, number]>> = {
  1000: [146.04550608272433, 146.04550608272433],
  65535: [1182.39982130457, 1182.39982130457],
  65536: [1182.3998870447356, 1182.3998870447358],
  65537: [1182.4177847056185, 1182.4177847056185],
  196608: [2047.9906555351733, 2047.9906555351192],
};

test('the global norm is that of the runs that there are', () => {
  for (const [length, norms] of Object.entries(NORMS)) {
    const gradient = Float32Array.from(
      { length: Number(length) },
      (_, i) => ((Math.imul(i + 1, 0x9e37_79b1) >>> 8) - 2 ** 23) / 2 ** 20,
    );
    assert.deepEqual(
      ARITHMETICS.map((arithmetic) => globalNorm(gradient, arithmetic)),
      norms,
    );
  }
});

test('in arithmetic 2 the squares of each block are summed by themselves', () => {
  // One of the small squares is lost beside a 1, a block of them is not.
  const gradient = new Float32Array(3 * BLOCK).fill(2 ** -30, BLOCK);
  gradient[BLOCK - 1] = 1;
  assert.equal(globalNorm(gradient, 2), Math.sqrt(1 + 2 ** -44 + 2 ** -44));
  assert.equal(globalNorm(gradient, 1), Math.sqrt(1 + (7 / 8) * 2 ** -43));
});

test('the norm of large float32 gradients does not overflow', () => {
  assert.ok(Math.abs(globalNorm(Float32Array.of(3e38, 3e38)) / 3e38 - Math.SQRT2) < 1e-6);
});

test('integer powers agree with repeated multiplication', () => {
  let product = 1;
  for (let exponent = 0; exponent <= 100; exponent++) {
    assert.ok(Math.abs(integerPower(0.99, exponent) - product) < 1e-14);
    product *= 0.99;
  }
});

test('the learning rate warms up from the first step, peaks, and ends at its final fraction', () => {
  const recipe = { peak: 1e-3, warmup: 100, total: 1200, finalFraction: 0.05 };
  const at = (step: number): number => learningRateAt(step, recipe);
  for (const [step, expected] of [
    [0, 1e-5],
    [49, 5e-4],
    [99, 1e-3],
    [100, 1e-3],
    [650, 5.25e-4],
    [1200, 5e-5],
    [9999, 5e-5],
  ]) {
    assert.ok(Math.abs(at(step) - expected) < 1e-15, `step ${step}: ${at(step)}`);
  }
  assert.ok(at(1199) > at(1200));
});

test('a learning rate without warm-up or decay is constant, also where the run is shorter than its warm-up', () => {
  assert.equal(learningRateAt(5, { peak: 1e-5, warmup: 0, total: 10, finalFraction: 1 }), 1e-5);
  assert.equal(learningRateAt(5, { peak: 1, warmup: 10, total: 8, finalFraction: 0 }), 0.6);
});

test("the average's warm-up gives the golden decays", () => {
  for (const [n, golden] of Object.entries(EMA_WARMUP)) {
    // Half a unit of the last digit given.
    assert.ok(Math.abs(emaWarmup(Number(n)) - golden) <= 5e-8 * 1.01, `${n}: ${emaWarmup(Number(n))}`);
  }
});

test("the average's decay starts at 1 - 2^-0.75, rises, and stops at its limit", () => {
  assert.ok(Math.abs(emaDecayAt(0, 0.9995) - 0.40539644249863926) < 1e-15);
  assert.ok(emaDecayAt(11, 0.9995) > emaDecayAt(10, 0.9995));
  assert.equal(emaDecayAt(1e6, 0.9995), 0.9995);
});

test('lengths that differ or hyperparameters out of range are refused, and the state stays as it was', () => {
  const state = stateOf([1, 2]);
  const gradient = Float32Array.of(1, 1);
  const refused = { code: 'E_OPTIMIZER' };
  assert.throws(() => adamStep(state, Float32Array.of(1), UPDATE), refused);
  assert.throws(() => adamStep({ ...state, ema: new Float32Array(3) }, gradient, UPDATE), refused);
  for (const change of [
    { step: -1 },
    { beta1: 1 },
    { beta2: -0.1 },
    { emaDecay: 1.1 },
    { learningRate: NaN },
    { clipScale: NaN },
  ]) {
    assert.throws(() => adamStep(state, gradient, { ...UPDATE, ...change }), refused, JSON.stringify(change));
  }
  assert.deepEqual(state, stateOf([1, 2]));
});
