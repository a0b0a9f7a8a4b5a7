import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { stratifiedTimesteps, uniformTimestep } from '#src/training/timesteps.js';

test('uniform timesteps reach 1 and T and nothing outside', () => {
  const T = 5;
  const seen = new Set<number>();
  for (let step = 0; step < 300; step++) {
    seen.add(uniformTimestep(1, step, 0, T));
  }
  assert.deepEqual([...seen].sort(), [1, 2, 3, 4, 5]);
});

test('stratified timesteps reach 1 and T and nothing outside, also where the batch does not divide T', () => {
  for (const batch of [1, 3, 5, 8]) {
    const seen = new Set<number>();
    for (let step = 0; step < 300; step++) {
      stratifiedTimesteps(1, step, batch, 5).forEach((t) => seen.add(t));
    }
    assert.deepEqual([...seen].sort(), [1, 2, 3, 4, 5], `batch ${batch}`);
  }
});

test('a stratified batch has exactly one timestep in each of its intervals', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(1e6),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 20 }),
      (seed, step, batch, width) => {
        const sorted = [...stratifiedTimesteps(seed, step, batch, batch * width)].sort((a, b) => a - b);
        sorted.forEach((t, stratum) => assert.equal(Math.floor((t - 1) / width), stratum));
      },
    ),
  );
});

test('each position of a stratified batch has a uniform timestep over the steps', () => {
  const [batch, T, steps] = [4, 4, 4000];
  const seen = Array.from({ length: batch }, () => new Array<number>(T).fill(0));
  for (let step = 0; step < steps; step++) {
    stratifiedTimesteps(2, step, batch, T).forEach((t, position) => seen[position][t - 1]++);
  }
  seen.flat().forEach((times) => assert.ok(Math.abs(times - 1000) < 5 * Math.sqrt(750), seen.join(' | ')));
});

test('stratified timesteps differ from step to step', () => {
  assert.notDeepEqual(stratifiedTimesteps(1, 0, 16, 1000), stratifiedTimesteps(1, 1, 16, 1000));
});

test('an empty batch is refused with its code', () => {
  assert.throws(() => stratifiedTimesteps(1, 0, 0, 1000), { code: 'E_MICROBATCH' });
});
