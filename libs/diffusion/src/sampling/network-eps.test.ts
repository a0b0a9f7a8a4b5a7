import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { TypedArray } from '@lockstep/engine';

import { imagesARun, networkEps } from '#src/sampling/network-eps.js';
import type { Condition, NetworkOptions } from '#src/sampling/network-eps.js';
import { levelAt } from '#src/sampling/reverse.js';
import { makeSchedule } from '#src/training/schedule.js';

const LINEAR = makeSchedule({ kind: 'linear', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });
const X = Float32Array.of(0.5, -1);

/** A network of two one-pixel images that predicts its label's tenth, whatever it sees; asked: the labels of each run. */
function labelled(condition: Partial<Condition>, more: Partial<NetworkOptions> = {}) {
  const asked: number[][] = [];
  const eps = networkEps({
    run: ([, x, , labels]: readonly TypedArray[]) => {
      asked.push([...labels]);
      return [Float32Array.from(x, (_, i) => labels[i] / 10)];
    },
    weights: new Float32Array(1),
    n: 2,
    schedule: LINEAR,
    networkTime: 'timestep',
    prediction: 'eps',
    condition: { classes: 10, labels: Int32Array.of(7, 3), guidance: 1, ...condition },
    ...more,
  });
  return { eps, asked };
}

const near = (found: Float32Array, expected: readonly number[]): void =>
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-6, `${value}, not ${expected[i]}`));

test('guidance 1 is the prediction for the label, and guidance 0 that without one, each in one run of the network for the batch', () => {
  const one = labelled({ guidance: 1 });
  near(one.eps(X, 500), [0.7, 0.3]);
  assert.deepEqual(one.asked, [[7, 3]]);
  const zero = labelled({ guidance: 0 });
  near(zero.eps(X, 500), [1, 1]);
  assert.deepEqual(zero.asked, [[10, 10]]);
});

test('other guidance asks the network for every image with its label and without, in one run', () => {
  const { eps, asked } = labelled({ guidance: 2 });
  eps(X, 500);
  assert.deepEqual(asked, [[7, 3, 10, 10]]);
  assert.deepEqual(
    [null, 0, 1, 0.5, 2].map((guidance) => imagesARun(8, guidance)),
    [8, 8, 8, 16, 16],
  );
});

test('guidance s goes s times the way from the prediction without the label to that with it', () => {
  for (const s of [0.5, 2, 3]) near(labelled({ guidance: s }).eps(X, 500), [1 + s * (0.7 - 1), 1 + s * (0.3 - 1)]);
});

test("guidance s is the paper's (1 + w) eps_c - w eps_u at w = s - 1; s taken for w would be far off", () => {
  const [c, u, s] = [0.7, 1, 2];
  const paper = (w: number): number => (1 + w) * c - w * u;
  const [found] = labelled({ guidance: s }).eps(X, 500);
  assert.ok(Math.abs(found - paper(s - 1)) < 1e-6);
  assert.ok(Math.abs(found - paper(s)) > 0.2);
});

test('a prediction of v gives the eps that makes x_t with the image of that v', () => {
  for (const t of [1, 300, 1000]) {
    const { signal, noise } = levelAt(LINEAR, t);
    const [image, eps] = [0.25, -0.8];
    const x = Float32Array.of(signal * image + noise * eps);
    const v = Float32Array.of(signal * eps - noise * image);
    const found = networkEps({
      run: () => [v],
      weights: new Float32Array(1),
      n: 1,
      schedule: LINEAR,
      networkTime: 'timestep',
      prediction: 'v',
      condition: null,
    })(x, t);
    near(found, [eps]);
  }
});

test('guidance of v is that of eps', () => {
  const { signal, noise } = levelAt(LINEAR, 300);
  const v = 1 + 2 * (0.7 - 1);
  const [found] = labelled({ guidance: 2 }, { prediction: 'v' }).eps(X, 300);
  assert.ok(Math.abs(found - (signal * v + noise * X[0])) < 1e-6);
  const epsOf = (label: number): number => (signal * label) / 10 + noise * X[0];
  assert.ok(Math.abs(found - (epsOf(10) + 2 * (epsOf(7) - epsOf(10)))) < 1e-6);
});

test('guidance out of range is refused with its code', () => {
  for (const guidance of [-0.1, 101, NaN]) assert.throws(() => labelled({ guidance }), { code: 'E_SAMPLER' });
});
