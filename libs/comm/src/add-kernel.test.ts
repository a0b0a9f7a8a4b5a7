import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AddKernel, copyBytes } from './add-kernel.js';

const BYTES = 300_000;

/** Full-range int32. */
function values(seed: number, length: number): Int32Array {
  let state = seed | 0;
  return Int32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return state ^ (state >>> 15);
  });
}

const place = fc.record({
  length: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 70_000 })),
  from: fc.integer({ min: 0, max: 99 }),
  offset: fc.integer({ min: 0, max: 5 }),
  isShared: fc.boolean(),
  seed: fc.integer(),
});

test('adds modulo 2^32 from any byte, into shared memory or not, and touches nothing around the sum', () => {
  const kernel = new AddKernel(BYTES);
  fc.assert(
    fc.property(place, ({ length, from, offset, isShared, seed }) => {
      const memory = isShared
        ? new Int32Array(new SharedArrayBuffer(4 * (length + 10)))
        : new Int32Array(new ArrayBuffer(4 * (length + 10)));
      memory.set(values(seed, memory.length));
      const before = memory.slice();
      const addend = values(seed + 1, length);
      kernel.bytes.fill(0x55);
      Buffer.from(addend.buffer).copy(kernel.bytes, from);
      kernel.addTo(memory.subarray(offset, offset + length), from);
      const expected = before.map((value, i) => {
        const isInside = i >= offset && i < offset + length;
        return isInside ? (value + addend[i - offset]) | 0 : value;
      });
      assert.ok(Buffer.from(memory.buffer).equals(Buffer.from(expected.buffer)));
    }),
  );
});

test('adds what lies at the very end of its memory', () => {
  const kernel = new AddKernel(BYTES);
  const sum = Int32Array.of(1, 2, 3);
  Buffer.from(Int32Array.of(10, 20, 30).buffer).copy(kernel.bytes, BYTES - 12);
  kernel.addTo(sum, BYTES - 12);
  assert.deepEqual([...sum], [11, 22, 33]);
});

test('copies bytes whole, at any alignment, and no bytes too', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(9), (bytes, offset) => {
      const memory = Buffer.from(new SharedArrayBuffer(bytes.length + 20)).fill(7);
      copyBytes(memory.subarray(offset, offset + bytes.length), Buffer.from(bytes));
      assert.deepEqual(memory.subarray(offset, offset + bytes.length), Buffer.from(bytes));
      assert.ok([...memory.subarray(0, offset), ...memory.subarray(offset + bytes.length)].every((byte) => byte === 7));
    }),
  );
});
