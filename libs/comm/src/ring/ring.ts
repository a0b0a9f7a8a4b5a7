/**
 * Ring all-reduce as a pure state machine: no sockets, no clock. Reduce-scatter, then all-gather (Patarasuk and Yuan,
 * "Bandwidth optimal all-reduce algorithms for clusters of workstations", 2009), pipelined by segments.
 *
 * Nouns
 *   n, rank   n members 0..n-1 in ring order; rank r sends only to r+1 and receives only from r-1 (mod n)
 *   chunk     the buffer cut into n nearly equal ranges; chunk c starts its way at rank c
 *   segment   a piece of a chunk, what one message carries; numbered over the whole buffer, never across two chunks
 *   hop       one passage of a segment over one link, numbered 1..2(n-1): at hop h, chunk c goes from rank c+h-1 to c+h.
 *             Receiving hops 1..n-1 ADDS the payload to the local values (after hop n-1 the sum is complete there);
 *             receiving hops n..2(n-1) STORES the payload. Each hop but the last is answered by sending the next hop.
 *
 * Order. A link keeps order, so what comes over it is fully determined: rank r receives, for h = 1..2(n-1), the segments
 * of chunk r-h in ascending order. The k-th segment received, if it has a next hop, is the (k + S)-th sent, where S counts
 * the segments of chunk r, which are sent unasked (hop 1). So two counters are the whole queue, and any duplicate,
 * reordered or unknown segment differs from the one expected next.
 *
 * Zero copy. What `takeSend` returns is a view into the buffer, which a transport may queue without copying. It is never
 * overwritten before it has been flushed: after rank r sends a segment at hop h+1, the next write to those elements at
 * rank r is the receipt of the same segment at hop h+n, and that message exists only because our hop h+1 had already
 * arrived, whole, at rank r+1 and gone on around all n links. The owner of the buffer must wait for the flush too, before
 * writing to it when the reduction is done: the last sends have no successor that proves their arrival.
 *
 * Traffic. Rank r sends each chunk twice, but chunks r+1 and r+2 once (for n = 2, only r+1 and r+2 = r, once each): all
 * ranks together send 2(n-1) times the buffer, 2(n-1)/n of it for each.
 */
import { RingSequenceError } from '../errors.js';
import { type SumArray, type Wire, wireOf } from '@lockstep/exact';

/** One message of the ring: `payload` is a view into the local buffer. */
export type OutgoingSegment = { readonly hop: number; readonly segment: number; readonly payload: SumArray };

/** What a segment that comes says of itself. */
export type SegmentName = {
  readonly hop: number;
  readonly segment: number;
  readonly wire: Wire;
  readonly count: number;
};

/** Where a segment that comes goes: its payload is added to these local values, or replaces them. */
export type Placement = { readonly adds: boolean; readonly into: SumArray };

/**
 * Bytes of a segment: 1 MiB. Smaller ones wake the successor and pay system calls more often (256 KiB: a third slower where
 * members are more than cores); larger ones gain nothing and lengthen the pipeline's fill.
 */
export const SEGMENT_BYTES = 1_048_576;

/** A walk over the segments of one direction of a link: hop by hop, within a hop the chunk's segments in order. */
type Cursor = { hop: number; chunk: number; offset: number };

/** One rank's part in one all-reduce. Feed `place` and `received`, drain `takeSend` whenever the transport has room, until `done`. */
export class RingReduction {
  readonly #buffer: SumArray;
  readonly #n: number;
  readonly #segmentElements: number;
  readonly #lastHop: number;
  readonly #incoming: Cursor;
  readonly #outgoing: Cursor;
  /** Segments that may be sent now and have not been taken. */
  #sendable: number;

  /** buffer: [length], summed in place. Throws RangeError if rank, n or segmentElements make no ring. */
  constructor(options: { rank: number; n: number; buffer: SumArray; segmentElements?: number }) {
    const { rank, n, buffer, segmentElements = SEGMENT_BYTES / buffer.BYTES_PER_ELEMENT } = options;
    if (!Number.isInteger(n) || n < 1 || !Number.isInteger(rank) || rank < 0 || rank >= n) {
      throw new RangeError(`rank ${rank} of ${n} is not a place in a ring; ranks go from 0 to n - 1`);
    }
    if (!Number.isInteger(segmentElements) || segmentElements < 1) {
      throw new RangeError(`a segment of ${segmentElements} elements; use a positive integer`);
    }
    this.#buffer = buffer;
    this.#n = n;
    this.#segmentElements = segmentElements;
    this.#lastHop = 2 * (n - 1);
    this.#sendable = n === 1 ? 0 : this.#segmentCount(rank);
    this.#outgoing = this.#settle({ hop: 1, chunk: rank, offset: this.#chunkStart(rank) });
    const before = (rank + n - 1) % n;
    this.#incoming = this.#settle({ hop: 1, chunk: before, offset: this.#chunkStart(before) });
  }

  /** Whether every segment was received and every send was taken. What was taken may still have to be flushed. */
  get done(): boolean {
    return this.allReceived && this.allTaken;
  }

  /** Whether nothing is to come from rank-1 any more: the buffer holds the sum. */
  get allReceived(): boolean {
    return this.#incoming.hop > this.#lastHop;
  }

  /** Whether nothing is to go to rank+1 any more. */
  get allTaken(): boolean {
    return this.#outgoing.hop > this.#lastHop;
  }

  /** The next segment to send, or undefined if there is none yet (or none any more). */
  takeSend(): OutgoingSegment | undefined {
    if (this.#sendable === 0) return undefined;
    this.#sendable--;
    const { hop, offset } = this.#outgoing;
    const end = this.#segmentEnd(this.#outgoing);
    const segment = this.#segmentNumber(this.#outgoing);
    this.#advance(this.#outgoing, end);
    return { hop, segment, payload: this.#buffer.subarray(offset, end) };
  }

  /** Bytes of the segment that comes next from rank-1 if it is to be stored; 0 if it is to be added, or none is to come. */
  get nextStoreBytes(): number {
    const { hop, offset } = this.#incoming;
    if (hop < this.#n || hop > this.#lastHop) return 0;
    return (this.#segmentEnd(this.#incoming) - offset) * this.#buffer.BYTES_PER_ELEMENT;
  }

  /**
   * A segment of `count` elements is coming from rank-1: what to do with it. `received` must follow when it is done.
   * Throws RingSequenceError: E_RING_WIRE, E_RING_SEGMENT (duplicate, out of order, unknown), E_RING_LENGTH.
   */
  place({ hop, segment, wire, count }: SegmentName): Placement {
    const expected = this.#incoming;
    const own = wireOf(this.#buffer);
    if (wire !== own) {
      throw new RingSequenceError(
        'E_RING_WIRE',
        `segment ${segment} at hop ${hop} is of ${wire}, but ${own} is summed here; one run has one wire`,
      );
    }
    if (expected.hop > this.#lastHop) {
      throw new RingSequenceError(
        'E_RING_SEGMENT',
        `segment ${segment} at hop ${hop} after the last one; the peer repeats itself`,
      );
    }
    const number = this.#segmentNumber(expected);
    if (hop !== expected.hop || segment !== number) {
      throw new RingSequenceError(
        'E_RING_SEGMENT',
        `segment ${segment} at hop ${hop}, expected segment ${number} at hop ${expected.hop}; do all members share one ring order?`,
      );
    }
    const start = expected.offset;
    const end = this.#segmentEnd(expected);
    if (count !== end - start) {
      throw new RingSequenceError(
        'E_RING_LENGTH',
        `segment ${segment} has ${count} elements, expected ${end - start}; do all members reduce the same length?`,
      );
    }
    return { adds: hop < this.#n, into: this.#buffer.subarray(start, end) };
  }

  /** The segment that was placed last is in the buffer, whole: makes its next hop available to `takeSend`. */
  received(): void {
    const { hop } = this.#incoming;
    this.#advance(this.#incoming, this.#segmentEnd(this.#incoming));
    if (hop < this.#lastHop) this.#sendable++;
  }

  /** First element of a chunk; chunk n would start at the buffer's end. */
  #chunkStart(chunk: number): number {
    return Math.floor((this.#buffer.length * chunk) / this.#n);
  }

  #segmentCount(chunk: number): number {
    return Math.ceil((this.#chunkStart(chunk + 1) - this.#chunkStart(chunk)) / this.#segmentElements);
  }

  /**
   * A segment's number over the whole buffer. Every chunk is given as many numbers as the longest chunk has segments, so
   * that the number follows from the chunk alone.
   */
  #segmentNumber({ chunk, offset }: Cursor): number {
    const perChunk = Math.ceil(Math.ceil(this.#buffer.length / this.#n) / this.#segmentElements);
    return chunk * perChunk + (offset - this.#chunkStart(chunk)) / this.#segmentElements;
  }

  #segmentEnd({ chunk, offset }: Cursor): number {
    return Math.min(offset + this.#segmentElements, this.#chunkStart(chunk + 1));
  }

  #advance(cursor: Cursor, end: number): void {
    cursor.offset = end;
    this.#settle(cursor);
  }

  /** Moves a cursor at its chunk's end (or in an empty chunk) on to the next hop that has a segment, or past the last hop. */
  #settle(cursor: Cursor): Cursor {
    while (cursor.hop <= this.#lastHop && cursor.offset >= this.#chunkStart(cursor.chunk + 1)) {
      cursor.hop++;
      cursor.chunk = (cursor.chunk + this.#n - 1) % this.#n;
      cursor.offset = this.#chunkStart(cursor.chunk);
    }
    return cursor;
  }
}
