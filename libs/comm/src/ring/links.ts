/**
 * One worker's place in the ring of one generation: its two neighbours' sockets and the all-reduces that run over them, one
 * after another: the rounds, whose numbers rise. The algorithm is ring.ts; here is only what happens when sockets are fast,
 * slow, early or gone.
 *
 * A link fails once and for good: the first error closes both sockets with a code that names the lost member, so that the
 * news runs around the ring in both directions, and every later call throws that same error. A link that carries nothing
 * more, though nobody closed it, is found by its silence (keepalive.ts).
 */
import type { Clock } from '../clock.js';
import { RingError, RingSequenceError } from '../errors.js';
import { Keepalive } from './keepalive.js';
import { CLOSE_CODES, SEND_HIGH_WATER_BYTES, SEND_LOW_WATER_BYTES, leave } from './neighbours.js';
import type { Verdict } from './inbound-stream.js';
import type { Ending, Inbound, Outbound } from './neighbours.js';
import { RingReduction } from './ring.js';
import type { FrameHeader } from './wire.js';
import { type SumArray, wireOf } from '@lockstep/exact';

/** What one all-reduce cost. Bytes are payload: headers add 0.01 % to full segments. */
export type RingStats = {
  readonly round: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly segmentsSent: number;
  /** From the call until the buffer holds the sum and is free to be written. */
  readonly seconds: number;
  /** Frames of an older round that came in meanwhile and were ignored. */
  readonly droppedFrames: number;
  /** The most bytes that were queued for the successor in this process; below SEND_QUEUE_BOUND_BYTES. */
  readonly peakQueuedBytes: number;
};

/** The two sockets of a ring with more than one member. */
export type Neighbours = { readonly inbound: Inbound; readonly outbound: Outbound };

type Reduction = {
  readonly round: number;
  readonly ring: RingReduction;
  readonly startedAt: number;
  readonly droppedBefore: number;
  readonly resolve: (stats: RingStats) => void;
  readonly reject: (error: RingError) => void;
  bytesSent: number;
  bytesReceived: number;
  segmentsSent: number;
};

/** A generation's ring or rings, as the one who sums over them sees it: RingLink or TieredLink. */
export interface AllReduceLink {
  readonly generation: number;
  /** Why this link is dead, or null while it lives. */
  readonly failure: RingError | null;
  /** Frames of an older generation or round ignored so far. */
  readonly droppedFrames: number;
  /** Sums `buffer` over all members, in place; it belongs to the link until the promise settles. */
  allReduce(options: { round: number; buffer: SumArray; signal?: AbortSignal }): Promise<RingStats>;
  /** Leaves; calling it again does nothing. */
  close(): void;
}

export type RingLinkOptions = {
  readonly generation: number;
  readonly selfId: string;
  readonly rank: number;
  readonly n: number;
  /** null for a ring of one. */
  readonly neighbours: Neighbours | null;
  /** A neighbour that is silent for so long is lost. */
  readonly heartbeatTimeoutMs: number;
  readonly clock: Clock;
};

/** Made by DataServer.joinRing. */
export class RingLink implements AllReduceLink {
  readonly generation: number;
  readonly rank: number;
  readonly n: number;
  /** Resolves as soon as the link is dead: why, and the code for it, so that another ring can be told the same. */
  readonly ended: Promise<Ending>;
  readonly #reportEnd: (ending: Ending) => void;
  readonly #selfId: string;
  readonly #neighbours: Neighbours | null;
  readonly #keepalive: Keepalive<Inbound | Outbound> | null;
  readonly #clock: Clock;
  #failure: RingError | null = null;
  #current: Reduction | null = null;
  #lastRound = -1;
  #dropped = 0;
  /** Set when the queue reached its high-water mark, until it is down at the low one. */
  #stalled = false;
  /** A neighbour that left politely while this round needs nothing of it any more: counts when the round is done. */
  #departure: Ending | null = null;

  constructor({ generation, selfId, rank, n, neighbours, heartbeatTimeoutMs, clock }: RingLinkOptions) {
    this.generation = generation;
    this.rank = rank;
    this.n = n;
    this.#selfId = selfId;
    this.#neighbours = neighbours;
    this.#clock = clock;
    let reportEnd: (ending: Ending) => void = () => undefined;
    this.ended = new Promise((resolve) => (reportEnd = resolve));
    this.#reportEnd = reportEnd;
    this.#keepalive =
      neighbours === null
        ? null
        : new Keepalive<Inbound | Outbound>({
            ends: [neighbours.inbound, neighbours.outbound],
            heartbeatTimeoutMs,
            clock,
            onSilent: (end, error) => this.#fail(error, CLOSE_CODES.peerLost, end),
          });
    neighbours?.inbound.attach(
      {
        begin: (header) => this.#begin(header),
        end: () => this.#received(),
        nextStoreBytes: () => this.#current?.ring.nextStoreBytes ?? 0,
      },
      (ending) => this.#neighbourEnded(neighbours.outbound, ending, this.#current?.ring.allReceived === true),
    );
    neighbours?.outbound.attach(
      () => this.#flushed(),
      (ending) => this.#neighbourEnded(neighbours.inbound, ending, this.#current?.ring.allTaken === true),
    );
  }

  /** Why this link is dead, or null while it lives. A loss is noticed at the latest by the next all-reduce. */
  get failure(): RingError | null {
    return this.#failure;
  }

  /** Frames of an older generation or round ignored so far. */
  get droppedFrames(): number {
    return this.#dropped;
  }

  /**
   * Sums `buffer` (equal length and type on all members, may lie on a SharedArrayBuffer) over the ring, in place. Rounds must
   * increase. The buffer belongs to the ring until the promise settles; after a rejection its content is undefined.
   * Rejects with RingError: E_RING_PEER_LOST, E_RING_PEER_SILENT, E_RING_ABORTED (signal or neighbour), E_RING_PROTOCOL, E_RING_MISUSE.
   */
  async allReduce(options: { round: number; buffer: SumArray; signal?: AbortSignal }): Promise<RingStats> {
    const { round, buffer, signal } = options;
    this.#requireIdle(round);
    if (signal?.aborted === true) this.#abort();
    if (this.#failure !== null) {
      await this.#released();
      throw this.#failure;
    }
    const onAbort = () => this.#abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise<RingStats>((resolve, reject) => {
        this.#current = {
          round,
          ring: new RingReduction({ rank: this.rank, n: this.n, buffer }),
          startedAt: this.#clock.now(),
          droppedBefore: this.#dropped,
          resolve,
          reject,
          bytesSent: 0,
          bytesReceived: 0,
          segmentsSent: 0,
        };
        this.#pump();
        this.#neighbours?.inbound.deliver();
        this.#settleIfDone();
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Leaves the ring. An all-reduce under way rejects with E_RING_ABORTED. Calling it again does nothing.
   * `because`: what happened elsewhere; it becomes this link's failure, and the members of this ring are told.
   */
  close(because: Ending = departure(this.#current !== null)): void {
    this.#fail(because.error, because.code);
  }

  #requireIdle(round: number): void {
    if (this.#current !== null) {
      throw new RingError(
        'E_RING_MISUSE',
        `round ${this.#current.round} is being reduced; await it before round ${round}`,
      );
    }
    if (!Number.isInteger(round) || round <= this.#lastRound) {
      throw new RingError(
        'E_RING_MISUSE',
        `round ${round} after round ${this.#lastRound}; do it again in the next generation`,
      );
    }
  }

  #begin(header: FrameHeader): Verdict {
    const current = this.#current;
    if (this.#failure !== null) return 'ignored';
    if (header.generation > this.generation || header.flags !== 0) {
      this.#protocolError(
        `sent a frame of generation ${header.generation}, flags ${header.flags}, in ${this.generation}`,
        null,
      );
      return 'ignored';
    }
    if (
      header.generation < this.generation ||
      header.round <= this.#lastRound ||
      (current !== null && header.round < current.round)
    ) {
      this.#dropped++;
      return 'ignored';
    }
    if (current === null || header.round > current.round) return 'later';
    try {
      const placement = current.ring.place(header);
      current.bytesReceived += placement.into.byteLength;
      return placement;
    } catch (error) {
      if (!(error instanceof RingSequenceError)) throw error;
      this.#protocolError(error.message, error);
      return 'ignored';
    }
  }

  #received(): void {
    this.#current?.ring.received();
    this.#pump();
    this.#settleIfDone();
  }

  /** Sends what may be sent, up to the high-water mark. */
  #pump(): void {
    const current = this.#current;
    if (current === null || this.#neighbours === null || this.#stalled) return;
    const { outbound } = this.#neighbours;
    for (;;) {
      if (outbound.queuedBytes >= SEND_HIGH_WATER_BYTES) {
        this.#stalled = true;
        return;
      }
      const next = current.ring.takeSend();
      if (next === undefined) return;
      const { hop, segment, payload } = next;
      const { generation } = this;
      const { round } = current;
      const wire = wireOf(payload);
      outbound.send({ flags: 0, wire, hop, generation, round, segment, count: payload.length }, payload);
      current.bytesSent += payload.byteLength;
      current.segmentsSent++;
    }
  }

  #flushed(): void {
    if (this.#neighbours !== null && this.#neighbours.outbound.queuedBytes <= SEND_LOW_WATER_BYTES)
      this.#stalled = false;
    this.#pump();
    this.#settleIfDone();
  }

  #settleIfDone(): void {
    const current = this.#current;
    if (current === null || !current.ring.done) return;
    if (this.#neighbours !== null && this.#neighbours.outbound.unflushed > 0) return;
    this.#current = null;
    this.#lastRound = current.round;
    this.#resolve(current);
    if (this.#departure !== null) this.#fail(this.#departure.error, this.#departure.code);
  }

  #resolve(current: Reduction): void {
    current.resolve({
      round: current.round,
      bytesSent: current.bytesSent,
      bytesReceived: current.bytesReceived,
      segmentsSent: current.segmentsSent,
      seconds: (this.#clock.now() - current.startedAt) / 1000,
      droppedFrames: this.#dropped - current.droppedBefore,
      peakQueuedBytes: this.#neighbours?.outbound.takePeak() ?? 0,
    });
  }

  /**
   * `other`: the neighbour on the other side. If we are told that we are lost ourselves, the news has come round the ring from
   * there: the link between us and it is dead.
   * `finishedWithIt`: the round under way has all that it needs of that neighbour. One that leaves between two rounds may be
   * done with this one before we are; its going must not spoil it, here or further round the ring.
   */
  #neighbourEnded(other: Inbound | Outbound, ending: Ending, finishedWithIt: boolean): void {
    if (ending.code === CLOSE_CODES.done && finishedWithIt) this.#departure ??= ending;
    else if (ending.error.peer === this.#selfId) {
      const problem = `${other.peer} has lost this worker; join the next generation, and check the network between the two if this repeats`;
      this.#fail(new RingError('E_RING_PEER_LOST', problem, other.peer), CLOSE_CODES.peerLost, other);
    } else this.#fail(ending.error, ending.code);
  }

  #abort(): void {
    this.#fail(
      new RingError('E_RING_ABORTED', 'the all-reduce was aborted; join the next generation'),
      CLOSE_CODES.aborted,
    );
  }

  #protocolError(problem: string, cause: unknown): void {
    const peer = this.#neighbours?.inbound.peer ?? null;
    const error = new RingError('E_RING_PROTOCOL', `${peer} ${problem}; run one version of Lockstep`, peer, { cause });
    this.#fail(error, CLOSE_CODES.protocol);
  }

  /** `deadEnd`: the side on which the neighbour that `error` names is cut off from us. */
  #fail(error: RingError, code: number, deadEnd: Inbound | Outbound | null = null): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#reportEnd({ error, code });
    this.#keepalive?.stop();
    const current = this.#current;
    this.#current = null;
    if (this.#neighbours === null) {
      current?.reject(error);
      return;
    }
    const { inbound, outbound } = this.#neighbours;
    for (const end of [inbound, outbound]) leave(end.ws, this.#clock, code, end === deadEnd ? '' : (error.peer ?? ''));
    inbound.deliver();
    // Not before it is the caller's alone: it may be written to as soon as the caller knows.
    void this.#released().then(() => {
      if (current === null) return;
      // A neighbour that has all it needs may leave before our last flush is reported: the sum is whole here all the same.
      const isLoss = error.code === 'E_RING_PEER_LOST' || error.code === 'E_RING_PEER_SILENT';
      if (current.ring.done && isLoss) this.#resolve(current);
      else current.reject(error);
    });
  }

  /** Resolves when no socket reads from the caller's buffer or writes to it any more. Only after a failure. */
  async #released(): Promise<void> {
    if (this.#neighbours === null) return;
    await Promise.all([this.#neighbours.inbound.released(), this.#neighbours.outbound.released()]);
  }
}

/** How a member leaves on its own account, in the middle of a round or between two. */
export function departure(isReducing: boolean): Ending {
  const error = new RingError('E_RING_ABORTED', 'this link was closed; join the next generation');
  return { error, code: isReducing ? CLOSE_CODES.aborted : CLOSE_CODES.done };
}
