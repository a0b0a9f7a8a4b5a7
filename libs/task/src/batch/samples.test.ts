import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { datasetIndex } from '#src/batch/order.js';
import { microbatchIndices, samplesDigest } from '#src/batch/samples.js';

/** A step of 8 over 10 samples: epochs end inside a step and inside a microbatch. */
const [SEED, COUNT, GLOBAL, SIZE] = [3, 10, 8, 4];

const taken = (step: number, index: number): number[] => [...microbatchIndices(SEED, COUNT, GLOBAL, SIZE, step, index)];

test('microbatches, one after another, walk the endless sequence of epochs without a gap', () => {
  const walked = [0, 1, 2, 3, 4].flatMap((step) => [...taken(step, 0), ...taken(step, 1)]);
  assert.deepEqual(
    walked,
    Array.from({ length: 40 }, (_, position) => datasetIndex(SEED, COUNT, position)),
  );
});

test('the name is the start of sha256 over little-endian 32-bit indices', () => {
  const bytes = Buffer.from([1, 0, 0, 0, 0x78, 0x56, 0x34, 0x12]);
  const expected = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  assert.equal(samplesDigest(Uint32Array.from([1, 0x12345678])), expected);
});

test('the name changes with any sample, with their order and with their number', () => {
  const names = [[1, 2, 3], [1, 2, 4], [2, 1, 3], [1, 2], [1, 2, 3, 0], []].map((indices) =>
    samplesDigest(Uint32Array.from(indices)),
  );
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[0-9a-f]{16}$/);
});

test('a part of an array is named by its own elements alone', () => {
  const whole = Uint32Array.from([9, 1, 2, 3, 9]);
  assert.equal(samplesDigest(whole.subarray(1, 4)), samplesDigest(Uint32Array.from([1, 2, 3])));
});

test('sizes that do not divide, and microbatches and steps that are not there, are refused with their code', () => {
  const refused = { code: 'E_MICROBATCH' };
  for (const index of [-1, 2, 0.5]) {
    assert.throws(() => taken(0, index), refused, `${index}`);
  }
  for (const size of [3, 16, 0, 0.5, NaN]) {
    assert.throws(() => microbatchIndices(SEED, COUNT, GLOBAL, size, 0, 0), refused, `${size}`);
  }
  assert.throws(() => taken(-1, 0), { code: 'E_RANDOM_KEY' });
});
