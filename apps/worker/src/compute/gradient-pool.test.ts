import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GradientPool } from '#src/compute/gradient-pool.js';

test('steps of equal size allocate once: every later step uses the slots of the first', () => {
  const pool = new GradientPool(10);
  const first = new Set([pool.take().buffer, pool.take().buffer, pool.take().buffer]);
  for (let step = 0; step < 5; step++) {
    pool.releaseAll();
    for (let i = 0; i < 3; i++) assert.ok(first.has(pool.take().buffer));
    assert.equal(pool.size, 3);
  }
});

test('no two gradients of one step share a slot, also when a microbatch is computed anew', () => {
  const pool = new GradientPool(10);
  const slots = Array.from({ length: 4 }, () => pool.take().buffer);
  assert.equal(new Set(slots).size, 4);
  assert.equal(slots[0].byteLength, 40);
});
