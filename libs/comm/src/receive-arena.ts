/**
 * Memory that a data socket reads into. Node by default allocates 64 KiB for every read, and ws then joins a message from
 * several of them: two allocations and a copy for each byte, and a garbage collector that never rests. Reading up to
 * READ_BYTES at once into one arena, round and round, lets ws hand out most messages as views.
 *
 * Why nothing is overwritten while it is in use. Views live until their message has been handled, which is in the same
 * turn (a link copies what it must hold). Unhandled are at most: one chunk (READ_BYTES) that waits in a paused stream, and
 * one message that is not complete yet (MAX_FRAME_BYTES and its prefix). A window overwrites bytes that are at least
 * ARENA_BYTES - 2 * READ_BYTES behind the newest one (one READ_BYTES is the window, less than one is left unused at the end).
 *
 * Alignment. All frames on the wire are a multiple of 4 bytes long (wire.ts), so whether payloads lie at multiples of 4 in
 * the arena is settled by where the stream began, after HTTP's handshake. `shift` moves what follows, once; windows keep it.
 */
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';

/** Most bytes in one read: four segments, so that few of them are cut by a read's end. */
export const READ_BYTES = 1024 * 1024;
/** Two reads more than the unhandled bytes (above), in round numbers. */
export const ARENA_BYTES = 4 * READ_BYTES;

const ALIGNMENT = Int32Array.BYTES_PER_ELEMENT;

export class ReceiveArena {
  /** Allocated with the first read: a dial that fails costs nothing. */
  #memory: Buffer | null = null;
  #next = 0;

  /** Where the next read goes. */
  window(): Buffer {
    this.#memory ??= Buffer.alloc(ARENA_BYTES);
    if (this.#next + READ_BYTES > ARENA_BYTES) this.#next %= ALIGNMENT;
    return this.#memory.subarray(this.#next, this.#next + READ_BYTES);
  }

  /** `bytes` were read into the last window. */
  advance(bytes: number): void {
    this.#next += bytes;
  }

  /** Moves what is read from now on by so many bytes (0..3), to bring payloads to multiples of 4. */
  shift(bytes: number): void {
    this.#next += bytes;
  }
}

/** A TCP connection whose stream delivers views into the arena. For ws' `createConnection`. */
export function connectInto(arena: ReceiveArena, options: NetConnectOpts): Socket {
  const socket: Socket = connect({
    ...options,
    onread: {
      buffer: () => arena.window(),
      callback: (bytes, window) => {
        arena.advance(bytes);
        // With `onread` Node gives the data to us only; push makes it a stream again. False (paused) stops reading.
        return socket.push(window.subarray(0, bytes));
      },
    },
  });
  return socket;
}
