import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AddKernel, copyBytes } from '#src/add-kernel.js';
import type { SumArray } from '#src/wire-type.js';

const BYTES = 300_000;

/** Full-range int32, or its upper halves. */
function values(seed: number, length: number, Numbers: typeof Int32Array | typeof Int16Array): SumArray {
  let state = seed | 0;
  const numbers = new Numbers(length);
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    numbers[i] = (state ^ (state >>> 15)) >> (32 - 8 * Numbers.BYTES_PER_ELEMENT);
  }
  return numbers;
}

const place = fc.record({
  length: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 70_000 })),
  from: fc.integer({ min: 0, max: 99 }),
  offset: fc.integer({ min: 0, max: 5 }),
  isShared: fc.boolean(),
  seed: fc.integer(),
  Numbers: fc.constantFrom(Int32Array, Int16Array),
});

test('adds int32 or int16, which wrap, from any byte, into shared memory or not, and touches nothing around the sum', () => {
  const kernel = new AddKernel(BYTES);
  fc.assert(
    fc.property(place, ({ length, from, offset, isShared, seed, Numbers }) => {
      const bytes = Numbers.BYTES_PER_ELEMENT * (length + 10);
      const store = isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
      const memory: SumArray = Numbers === Int32Array ? new Int32Array(store) : new Int16Array(store);
      memory.set(values(seed, memory.length, Numbers));
      const before = memory.slice();
      const addend = values(seed + 1, length, Numbers);
      kernel.bytes.fill(0x55);
      Buffer.from(addend.buffer).copy(kernel.bytes, from);
      kernel.addTo(memory.subarray(offset, offset + length), from);
      const expected = before.map((value, i) => {
        const isInside = i >= offset && i < offset + length;
        return isInside ? value + addend[i - offset] : value;
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
