/**
 * Memory that a data socket reads into. Node by default allocates 64 KiB for every read, and ws then joins a message from
 * several of them: two allocations and a copy for each byte, and a garbage collector that never rests. Reading several
 * frames at once into one arena, round and round, lets ws hand out nearly all messages as views.
 *
 * Why nothing is overwritten while it is in use. Views live until their message has been handled, which is in the same
 * turn (a link copies what it must hold). Unhandled are at most: one chunk (READ_BYTES) that waits in a paused stream, and
 * one message that is not complete yet (a full frame). A window overwrites bytes that are at least
 * ARENA_BYTES - 2 * READ_BYTES behind the newest one (one READ_BYTES is the window, less than one is left unused at the end).
 *
 * Frame boundaries. A message that two reads share is joined by ws in fresh memory. So a read ends where a full frame
 * would, if one started where the last message ended: then only reads that came out short share one.
 *
 * Alignment. All frames on the wire are a multiple of 4 bytes long (wire.ts), so whether payloads lie at multiples of 4 in
 * the arena is settled by where the stream began, after HTTP's handshake. `shift` moves what follows, once; windows keep it.
 */
import { connect } from 'node:net';
import type { NetConnectOpts, Socket } from 'node:net';
import { MAX_FRAME_BYTES, wireBytes } from './wire.js';

const FULL_FRAME_BYTES = wireBytes(MAX_FRAME_BYTES);
/** Most bytes in one read: three full frames. One costs more system calls, many more would not stay in the cache. */
export const READ_BYTES = 3 * FULL_FRAME_BYTES;
/** Three reads and a frame are needed (above); in round numbers. */
export const ARENA_BYTES = 4 * 1024 * 1024;

const ALIGNMENT = Int32Array.BYTES_PER_ELEMENT;

export class ReceiveArena {
  /** Allocated with the first read: a dial that fails costs nothing. */
  #memory: Buffer | null = null;
  #next = 0;
  /** Bytes of the stream so far, and how many of them the last complete message ended at (null: none seen yet). */
  #received = 0;
  #boundary: number | null = null;

  /** Where the next read goes. */
  window(): Buffer {
    this.#memory ??= Buffer.alloc(ARENA_BYTES);
    if (this.#next + READ_BYTES > ARENA_BYTES) this.#next %= ALIGNMENT;
    const unfinished = this.#boundary === null ? 0 : (this.#received - this.#boundary) % FULL_FRAME_BYTES;
    return this.#memory.subarray(this.#next, this.#next + READ_BYTES - unfinished);
  }

  /** `bytes` were read into the last window. */
  advance(bytes: number): void {
    this.#next += bytes;
    this.#received += bytes;
  }

  /** ws has found a whole message. A boundary that is missed costs speed only. */
  messageEnded(message: Buffer): void {
    if (this.#boundary !== null) this.#boundary += wireBytes(message.length);
    else if (message.buffer === this.#memory?.buffer) {
      this.#boundary = this.#received - (this.#next - (message.byteOffset + message.length));
    }
  }

  /** ws has found a ping or pong with so many bytes of payload. */
  controlFrameEnded(payloadBytes: number): void {
    if (this.#boundary !== null) this.#boundary += wireBytes(payloadBytes);
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
