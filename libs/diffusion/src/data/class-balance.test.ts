import assert from 'node:assert/strict';
import { test } from 'node:test';

import { classBalance } from '#src/data/class-balance.js';

test('equal counts have no deviation', () => {
  const labels = Uint8Array.from({ length: 40 }, (_, i) => i % 4);
  assert.deepEqual(classBalance(labels, 4), { counts: [10, 10, 10, 10], chiSquared: 0, largestDeviation: 0 });
});

test("Pearson's statistic and the largest deviation of a die thrown 60 times are those of the textbook", () => {
  const thrown = [5, 8, 9, 8, 10, 20];
  const labels = Uint8Array.from(thrown.flatMap((count, face) => new Array<number>(count).fill(face)));
  const { counts, chiSquared, largestDeviation } = classBalance(labels, 6);
  assert.deepEqual(counts, thrown);
  assert.ok(Math.abs(chiSquared - 13.4) < 1e-12);
  assert.equal(largestDeviation, 1);
});

test('a class that is never drawn deviates by one, one that is always drawn by classes - 1', () => {
  assert.equal(classBalance(Uint8Array.of(0, 0, 1, 1), 3).largestDeviation, 1);
  assert.equal(classBalance(Uint8Array.of(1, 1), 10).largestDeviation, 9);
});

test('no labels, and labels that are no class, are refused', () => {
  assert.throws(() => classBalance(new Uint8Array(), 3), { code: 'E_METRIC' });
  assert.throws(() => classBalance(Uint8Array.of(3), 3), { code: 'E_METRIC' });
});
