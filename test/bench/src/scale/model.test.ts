import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allReduceSeconds, fit, ringSeconds, stepOf, waits } from './model.js';

const RING = { alpha: 1e-3, beta: 1e-8, bytes: 3e6 };
const TRUE = { ...RING, compute: 0.2, fixed: 0.1, noise: 0.01, coordination: 0.004, perWorker: 5e-5, hidden: 0.4 };
/** Of all constants. */
const NAMES = ['alpha', 'beta', 'bytes', 'compute', 'fixed', 'noise', 'coordination', 'perWorker', 'hidden'] as const;
const near = (a: number, b: number): void => {
  assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);
};

test('a ring of two passes the buffer once in all, in two hops; a ring of one takes no time', () => {
  near(ringSeconds(2, RING), 2 * 1e-3 + 3e6 * 1e-8);
  assert.equal(ringSeconds(1, RING), 0);
});

test('the fit finds the constants again that its points were made with', () => {
  const at = (n: number, m: number): number => stepOf({ n, m }, TRUE).seconds;
  const { noise, hidden, perWorker } = TRUE;
  const found = fit({ one: at(1, 1), four: at(1, 4), two: at(2, 1), noise, ring: RING, hidden, perWorker });
  assert.deepEqual(Object.keys(found).sort(), Object.keys(TRUE).sort());
  for (const name of NAMES) near(found[name], TRUE[name]);
});

test('computation cannot hide more of the ring than there is computation', () => {
  const slow = { ...TRUE, beta: 1e-6, hidden: 1 };
  const { ring, exposed } = stepOf({ n: 2, m: 1 }, slow);
  near(exposed, ring - slow.compute);
});

test('at 512 workers two tiers take less than one ring would', () => {
  assert.ok(allReduceSeconds(512, RING) < ringSeconds(512, RING));
});

test('the wait for the slowest grows with their number, and its two sources agree where they meet', () => {
  const values = [1, 2, 3, 4, 5, 8, 64, 512].map(waits);
  values.slice(1).forEach((value, index) => assert.ok(value > values[index]));
  // E[max of 5] is 1.1630 (Teichroew 1956).
  assert.ok(Math.abs(waits(5) - 1.163) < 0.02);
});
