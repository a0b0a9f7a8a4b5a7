import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulateRing, simulateTiers } from './simulated-ring.js';

const LINKS = { alpha: 1, bytesASecond: 4, buffer: new Int32Array(4) };
const starts = (n: number): number[] => Array.from({ length: n }, () => 0);

test('a simulated ring of two takes two hops, each with half the bytes', () => {
  // 8 bytes at 4 a second, and the hop itself.
  assert.deepEqual(simulateRing(starts(2), LINKS), [6, 6]);
});

test('a simulated ring waits for its last member', () => {
  const late = simulateRing([0, 10], LINKS);
  assert.equal(Math.max(...late), 16);
});

test('two tiers take the hops of two groups twice and of their leaders once', () => {
  assert.equal(simulateTiers([starts(2), starts(2)], LINKS), 18);
});
