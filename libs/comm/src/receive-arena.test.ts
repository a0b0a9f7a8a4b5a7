import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_HELD_BYTES } from './neighbours.js';
import { ARENA_BYTES, READ_BYTES, ReceiveArena } from './receive-arena.js';
import { MAX_FRAME_BYTES, wireBytes } from './wire.js';

/** What may be read and not handled yet, as the arena's header says. */
const UNHANDLED_BYTES = READ_BYTES + MAX_FRAME_BYTES + 10;

test('no read overwrites any of the newest bytes that may still be in use', () => {
  const reads = fc.array(fc.oneof(fc.constant(READ_BYTES), fc.integer({ min: 1, max: READ_BYTES })), {
    minLength: 20,
    maxLength: 60,
  });
  fc.assert(
    fc.property(reads, (sizes) => {
      const arena = new ReceiveArena();
      const chunks: { start: number; end: number }[] = [];
      for (const size of sizes) {
        const window = arena.window();
        assert.equal(window.length, READ_BYTES);
        assert.ok(window.byteOffset + window.length <= ARENA_BYTES);
        let newest = 0;
        for (const { start, end } of chunks.toReversed()) {
          if (newest >= UNHANDLED_BYTES) break;
          // Of this chunk, the last bytes are among the newest.
          const from = Math.max(start, end - (UNHANDLED_BYTES - newest));
          assert.ok(
            window.byteOffset >= end || window.byteOffset + window.length <= from,
            'a window lies over recent bytes',
          );
          newest += end - start;
        }
        chunks.push({ start: window.byteOffset, end: window.byteOffset + size });
        arena.advance(size);
      }
    }),
  );
});

test('reads keep the alignment of the stream, through every wrap, and shift moves it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ size: fc.integer({ min: 1, max: READ_BYTES }), shift: fc.integer({ min: 0, max: 3 }) }), {
        maxLength: 40,
      }),
      (reads) => {
        const arena = new ReceiveArena();
        let position = 0;
        for (const { size, shift } of reads) {
          assert.equal(arena.window().byteOffset % 4, position % 4);
          arena.advance(size);
          arena.shift(shift);
          position += size + shift;
        }
      },
    ),
  );
});

test('after a message, a read ends where a full frame would end, however the reads before it came out', () => {
  const full = wireBytes(MAX_FRAME_BYTES);
  const arena = new ReceiveArena();
  const window = arena.window();
  // 130 bytes of HTTP, one message with its header of 2 bytes, and the beginning of the next.
  arena.advance(130 + 28 + 1000);
  arena.messageEnded(window.subarray(132, 158));
  assert.equal(arena.window().length, READ_BYTES - 1000);
  arena.advance(500);
  assert.equal(arena.window().length, READ_BYTES - 1500);
  arena.advance(full - 1500);
  arena.messageEnded(Buffer.alloc(MAX_FRAME_BYTES));
  assert.equal(arena.window().length, READ_BYTES);
});

test('what a paused socket may deliver still fits what is held', () => {
  assert.ok(MAX_HELD_BYTES >= UNHANDLED_BYTES);
});
