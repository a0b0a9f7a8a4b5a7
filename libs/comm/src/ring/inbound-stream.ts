/**
 * The bytes that come from the predecessor. ws makes the handshake, answers control frames and closes; data frames, which are
 * nearly all bytes, take a shorter way: ws would join each message from what the reads happened to bring, in fresh memory, and
 * hand it on whole, to be gone over once more.
 *
 * Nouns
 *   passed     what ws gets: HTTP's answer, control frames, and from the first frame that is nothing of ours all that follows
 *   window     where the next read goes: into the arena, or, for a payload that only is to be stored, right into its place
 *   arena      memory of the connection, used again from its start by each read, so that it stays in the cache. What is to be
 *              added lies there (add-kernel.ts)
 *   unparsed   bytes of the arena that wait for the rest of what they begin, or for a round to start (held)
 *
 * A read into the arena may bring any number of frames, a read into place never more than the payload. Node takes the next
 * window when it has delivered a read; so a window that was taken before a hold ends or a failure comes is filled after it.
 * The window is therefore always behind what is unparsed, also when that is parsed before the read; and a place that is a
 * window is not the caller's again before that read (or the end of the socket) has come: see `abandon`.
 */
import { AddKernel, copyBytes } from '@lockstep/exact';
import { WireError } from '../errors.js';
import type { Placement } from './ring.js';
import { HEADER_BYTES, MAX_FRAME_BYTES, decodeHeader, framePrefix } from './wire.js';
import type { FrameHeader } from './wire.js';

/** Most bytes in one read into the arena. Fewer cost more system calls, more would fall out of the cache before they are added. */
export const WINDOW_BYTES = 512 * 1024;
/** Room for a full window behind the most that one can leave unparsed. */
const ARENA_BYTES = 2 * WINDOW_BYTES + 1024;
/** A payload is read into its place from this size of its rest on; less is not worth a read of its own. */
const IN_PLACE_BYTES = 32 * 1024;
/** The longest prefix and the header: all that is read into the arena if the payload is stored. */
const FRAME_START_BYTES = 10 + HEADER_BYTES;

const CLOSE_PING_PONG: readonly number[] = [0x88, 0x89, 0x8a];
const BINARY = 0x82;
const HTTP_END = Buffer.from('\r\n\r\n');

/** What is to become of a data frame: its payload has a place, is of no use, or must wait for its round to start. */
export type Verdict = Placement | 'ignored' | 'later';

/** Who the stream tells. */
export type StreamOwner = {
  /** Bytes for ws, a copy. */
  pass(bytes: Buffer): void;
  /** A data frame begins. It is asked about again by `resume` if the verdict is `later`. */
  begin(header: FrameHeader): Verdict;
  /** The payload of a frame that has a place is there, whole. */
  end(): void;
  /** Bytes of the next payload if it is to be stored, 0 if it is not or nobody knows. */
  nextStoreBytes(): number;
  /** No data frame, though it looked like one. What follows is read on, and dropped if it is data. */
  broken(error: WireError): void;
};

type Phase = 'http' | 'start' | 'control' | 'payload' | 'foreign';

export class InboundStream {
  readonly #owner: StreamOwner;
  /** Made with the first read: a dial that fails costs nothing. */
  #kernel: AddKernel | null = null;
  /** The window at the arena's start, which most reads go into. */
  #firstWindow: Buffer = Buffer.alloc(0);
  /** The unparsed bytes of the arena. */
  #from = 0;
  #to = 0;
  #phase: Phase = 'http';
  /** Bytes of HTTP_END seen. */
  #matched = 0;
  /** Bytes to come of a control frame or a payload. */
  #left = 0;
  #placement: Placement | null = null;
  #isHeld = false;
  /** Whether the window is a place in the caller's buffer. */
  #isInPlace = false;
  #onFree: (() => void) | null = null;

  constructor(owner: StreamOwner) {
    this.#owner = owner;
  }

  /** Whether bytes wait for a round to start. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Where the next read goes; it is taken once for each read. */
  window(): Buffer {
    if (this.#kernel === null) {
      this.#kernel = new AddKernel(ARENA_BYTES);
      this.#firstWindow = this.#kernel.bytes.subarray(0, WINDOW_BYTES);
    }
    const placement = this.#phase === 'payload' ? this.#placement : null;
    this.#isInPlace = placement?.adds === false && this.#left >= IN_PLACE_BYTES;
    if (this.#isInPlace && placement !== null) {
      const { buffer, byteOffset, byteLength } = placement.into;
      return Buffer.from(buffer, byteOffset + byteLength - this.#left, this.#left);
    }
    const { bytes } = this.#kernel;
    bytes.copyWithin(0, this.#from, this.#to);
    this.#to -= this.#from;
    this.#from = 0;
    const isStart = this.#phase === 'start' && !this.#isHeld && this.#owner.nextStoreBytes() >= IN_PLACE_BYTES;
    if (this.#to === 0 && !isStart) return this.#firstWindow;
    const length = isStart ? FRAME_START_BYTES - this.#to : WINDOW_BYTES;
    return bytes.subarray(this.#to, Math.min(this.#to + length, ARENA_BYTES));
  }

  /** So many bytes were read into the window. */
  read(bytes: number): void {
    if (this.#isInPlace) {
      this.#isInPlace = false;
      this.#onFree?.();
      this.#took(bytes);
    } else {
      this.#to += bytes;
      this.#parse();
    }
  }

  /** Asks again about what is held. */
  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#parse();
  }

  /**
   * Nothing more is stored or added. `onFree` is called as soon as no read can go into the caller's buffer any more, unless
   * the socket ends before.
   */
  abandon(onFree: () => void): void {
    this.#placement = null;
    if (this.#isInPlace) this.#onFree = onFree;
    else onFree();
  }

  #parse(): void {
    while (this.#from < this.#to && !this.#isHeld) {
      const before = this.#from;
      switch (this.#phase) {
        case 'http':
          this.#passHttp();
          break;
        case 'start':
          this.#start();
          break;
        case 'control':
          this.#passControl();
          break;
        case 'payload':
          this.#payload();
          break;
        case 'foreign':
          this.#pass(this.#to - this.#from);
          break;
        default:
          this.#phase satisfies never;
      }
      // What is there is too little.
      if (this.#from === before) return;
    }
  }

  get #arena(): Buffer {
    if (this.#kernel === null) throw new Error('nothing is parsed before it was read');
    return this.#kernel.bytes;
  }

  #pass(bytes: number): void {
    const end = this.#from + bytes;
    const copy = Buffer.from(this.#arena.subarray(this.#from, end));
    this.#from = end;
    this.#owner.pass(copy);
  }

  #passHttp(): void {
    let at = this.#from;
    while (at < this.#to && this.#matched < HTTP_END.length) {
      const byte = this.#arena[at++];
      if (byte === HTTP_END[this.#matched]) this.#matched++;
      else this.#matched = byte === HTTP_END[0] ? 1 : 0;
    }
    if (this.#matched === HTTP_END.length) this.#phase = 'start';
    this.#pass(at - this.#from);
  }

  #passControl(): void {
    const bytes = Math.min(this.#left, this.#to - this.#from);
    this.#left -= bytes;
    if (this.#left === 0) this.#phase = 'start';
    this.#pass(bytes);
  }

  #start(): void {
    const there = this.#to - this.#from;
    if (there < 2) return;
    const first = this.#arena[this.#from];
    const second = this.#arena[this.#from + 1];
    if (CLOSE_PING_PONG.includes(first) && second < 126) {
      this.#phase = 'control';
      this.#left = 2 + second;
      return this.#passControl();
    }
    const prefix = first === BINARY ? framePrefix(this.#arena, this.#from, this.#to) : null;
    if (prefix === 'more') return;
    if (prefix === null || prefix.messageBytes > MAX_FRAME_BYTES) {
      this.#phase = 'foreign';
      return this.#pass(there);
    }
    const { bytes, messageBytes } = prefix;
    const headerBytes = Math.min(HEADER_BYTES, messageBytes);
    if (there < bytes + headerBytes) return;
    this.#frame(this.#from + bytes, headerBytes, messageBytes);
  }

  /** A data frame's header is there. */
  #frame(at: number, headerBytes: number, messageBytes: number): void {
    const verdict = this.#verdict(this.#arena.subarray(at, at + headerBytes), messageBytes);
    if (verdict === 'later') {
      this.#isHeld = true;
      return;
    }
    this.#from = at + headerBytes;
    this.#phase = 'payload';
    if (verdict === 'ignored') {
      this.#placement = null;
      this.#left = messageBytes - headerBytes;
    } else {
      this.#placement = verdict;
      this.#left = verdict.into.byteLength;
    }
    if (this.#left === 0) this.#took(0);
  }

  #verdict(header: Buffer, messageBytes: number): Verdict {
    try {
      return this.#owner.begin(decodeHeader(header, messageBytes));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#owner.broken(error);
      return 'ignored';
    }
  }

  #payload(): void {
    const there = Math.min(this.#left, this.#to - this.#from);
    if (this.#placement === null) {
      this.#from += there;
      this.#took(there);
      return;
    }
    const { adds, into } = this.#placement;
    const done = into.byteLength - this.#left;
    // Only whole integers can be added.
    const bytes = adds ? there - (there % into.BYTES_PER_ELEMENT) : there;
    const from = this.#from;
    this.#from += bytes;
    if (!adds) {
      copyBytes(Buffer.from(into.buffer, into.byteOffset + done, bytes), this.#arena.subarray(from, from + bytes));
    } else if (bytes > 0) {
      const start = done / into.BYTES_PER_ELEMENT;
      this.#kernel?.addTo(into.subarray(start, start + bytes / into.BYTES_PER_ELEMENT), from);
    }
    this.#took(bytes);
  }

  /** So many bytes of the payload are where they belong. */
  #took(bytes: number): void {
    this.#left -= bytes;
    if (this.#left > 0) return;
    this.#phase = 'start';
    const isPlaced = this.#placement !== null;
    this.#placement = null;
    if (isPlaced) this.#owner.end();
  }
}
