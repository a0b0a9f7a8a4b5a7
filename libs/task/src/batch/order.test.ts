import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { datasetIndex, epochPermutation } from '#src/batch/order.js';

const seed = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

test('every epoch holds every sample once, whatever the batch size', () => {
  fc.assert(
    fc.property(seed, fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 25 }), (s, count, batch) => {
      const epochs = 3;
      const steps = Math.ceil((epochs * count) / batch);
      const taken: number[] = [];
      for (let step = 0; step < steps; step++) {
        for (let place = 0; place < batch; place++) {
          taken.push(datasetIndex(s, count, step * batch + place));
        }
      }
      for (let epoch = 0; epoch < epochs; epoch++) {
        const seen = taken.slice(epoch * count, (epoch + 1) * count).sort((a, b) => a - b);
        assert.deepEqual(
          seen,
          Array.from({ length: count }, (_, i) => i),
        );
      }
    }),
  );
});

test('a batch that ends after the epoch goes on with the next epoch and drops nothing', () => {
  const count = 10;
  const positions = [8, 9, 10, 11];
  const expected = [...epochPermutation(5, 0, count).slice(8), ...epochPermutation(5, 1, count).slice(0, 2)];
  assert.deepEqual(
    positions.map((position) => datasetIndex(5, count, position)),
    expected,
  );
});

test('another epoch, and another seed, has another order', () => {
  assert.notDeepEqual(epochPermutation(1, 0, 1000), epochPermutation(1, 1, 1000));
  assert.notDeepEqual(epochPermutation(1, 0, 1000), epochPermutation(2, 0, 1000));
});

test('the six orders of three samples come equally often within five standard errors', () => {
  const epochs = 6000;
  const seen = new Map<string, number>();
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = epochPermutation(11, epoch, 3).join('');
    seen.set(order, (seen.get(order) ?? 0) + 1);
  }
  assert.equal(seen.size, 6);
  for (const [order, times] of seen) {
    assert.ok(Math.abs(times - 1000) < 5 * Math.sqrt(1000 * (5 / 6)), `${order}: ${times}`);
  }
});

test('positions asked for in any order give the same samples', () => {
  fc.assert(
    fc.property(seed, fc.uniqueArray(fc.integer({ min: 0, max: 500 }), { minLength: 8 }), (s, positions) => {
      const forward = positions.map((position) => datasetIndex(s, 37, position));
      const backward = positions.toReversed().map((position) => datasetIndex(s, 37, position));
      assert.deepEqual(forward, backward.toReversed());
    }),
  );
});

test('an impossible position or count is refused with its code', () => {
  assert.throws(() => datasetIndex(1, 10, -1), { code: 'E_RANDOM_KEY' });
  assert.throws(() => datasetIndex(1, 10, 0.5), { code: 'E_RANDOM_KEY' });
  assert.throws(() => epochPermutation(1, 0, 0), { code: 'E_RANDOM_KEY' });
});
