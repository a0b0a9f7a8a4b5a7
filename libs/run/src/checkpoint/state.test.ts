import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { CheckpointError } from '#src/errors.js';
import {
  decodeState,
  encodedStateBytes,
  encodeState,
  stateDigest,
  tableLength,
  type TrainingState,
} from '#src/checkpoint/state.js';

const array = (values: number[], shared = false): Float32Array => {
  const buffer = shared ? new SharedArrayBuffer(values.length * 4 + 8) : new ArrayBuffer(values.length * 4 + 8);
  const view = new Float32Array(buffer, 4, values.length);
  view.set(values);
  return view;
};
const state = (shared: boolean): TrainingState => ({
  step: 2 ** 33,
  weights: array([1, -0, NaN], shared),
  expAvg: array([2, 3, 4], shared),
  expAvgSq: array([5, 6, 1e-45], shared),
  ema: array([7, 8, 9], shared),
});
const hasCode = (code: string) => (error: unknown) => error instanceof CheckpointError && error.code === code;

test('the digest is sha256 of the fingerprints of weights, expAvg, expAvgSq, ema', () => {
  // Three numbers are fewer than the sums: each sum is its number's bits times the prime, turned by 13; in arithmetic 2 of that again.
  const mixed = (word: number): number => {
    const product = Math.imul(word, 0x9e3779b1);
    return (product << 13) | (product >>> 19);
  };
  const arrays = [
    [1, -0, NaN],
    [2, 3, 4],
    [5, 6, 1e-45],
    [7, 8, 9],
  ];
  const digest = (sumOf: (word: number) => number): string => {
    const bytes = Buffer.alloc(4 * 128);
    arrays.forEach((values, place) => {
      new Uint32Array(Float32Array.from(values).buffer).forEach((word, i) => {
        bytes.writeInt32LE(sumOf(word), place * 128 + i * 4);
      });
    });
    return createHash('sha256').update(bytes).digest('hex');
  };
  assert.equal(stateDigest(state(false), 1), digest(mixed));
  assert.equal(
    stateDigest(state(false), 2),
    digest((word) => mixed(mixed(word))),
  );
});

test('shared memory has the same digest and encoding as other memory', () => {
  assert.equal(stateDigest(state(true), 2), stateDigest(state(false), 2));
  assert.deepEqual(Buffer.concat(encodeState(state(true))), Buffer.concat(encodeState(state(false))));
});

test('a single flipped bit in any array changes the digest', () => {
  const before = stateDigest(state(false), 2);
  for (const key of ['weights', 'expAvg', 'expAvgSq', 'ema'] as const) {
    const changed = state(false);
    new Uint32Array(changed[key].buffer, changed[key].byteOffset)[1] ^= 1;
    assert.notEqual(stateDigest(changed, 2), before, key);
  }
});

test('a state survives the wire at any alignment', () => {
  const sent = state(false);
  const bytes = Buffer.concat(encodeState(sent));
  assert.equal(bytes.length, encodedStateBytes(3));
  for (let shift = 0; shift < 4; shift += 1) {
    const moved = new Uint8Array(bytes.length + shift).subarray(shift);
    moved.set(bytes);
    const received = decodeState(moved, 3);
    assert.equal(received.step, sent.step);
    assert.equal(stateDigest(received, 2), stateDigest(sent, 2));
  }
});

test('the arrays are sent from their own memory', () => {
  const sent = state(true);
  assert.equal(encodeState(sent)[1].buffer, sent.weights.buffer);
});

test('what is not exactly one state of the expected length is refused', () => {
  const bytes = Buffer.concat(encodeState(state(false)));
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = value;
    return copy;
  };
  assert.throws(() => decodeState(changed(0, 0), 3), hasCode('E_STATE_FORMAT'));
  assert.throws(() => decodeState(changed(8, 2), 3), hasCode('E_STATE_VERSION'));
  assert.throws(() => decodeState(changed(12, 1), 3), hasCode('E_STATE_FORMAT'));
  assert.throws(() => decodeState(changed(23, 255), 3), hasCode('E_STATE_FORMAT'));
  assert.throws(() => decodeState(bytes, 4), hasCode('E_STATE_LENGTH'));
  assert.throws(() => decodeState(Buffer.concat([bytes, Buffer.alloc(1)]), 3), hasCode('E_STATE_FORMAT'));
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => decodeState(bytes.subarray(0, length), 3), hasCode('E_STATE_FORMAT'), `cut to ${length}`);
  }
});

test('arrays of different lengths are not a state', () => {
  assert.throws(() => encodeState({ ...state(false), ema: array([1]) }), hasCode('E_STATE_TABLE'));
});

test('a table must be contiguous, with shapes that give its sizes and names of their own', () => {
  const a = { name: 'a', shape: [2, 3], offset: 0, size: 6 };
  const b = { name: 'b', shape: [], offset: 6, size: 1 };
  assert.equal(tableLength([a, b]), 7);
  assert.equal(tableLength([]), 0);
  for (const table of [
    [b],
    [a, { ...b, offset: 7 }],
    [a, { ...b, offset: 5 }],
    [{ ...a, shape: [2, 2] }],
    [a, { ...b, name: 'a' }],
  ]) {
    assert.throws(() => tableLength(table), hasCode('E_STATE_TABLE'));
  }
});
