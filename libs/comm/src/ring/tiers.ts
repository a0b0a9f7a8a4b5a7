/**
 * All-reduce on two tiers, for generations whose one ring would take too many hops. It is made of ring all-reduces alone, and
 * as integer sums have no order it gives the same bits as one ring.
 *
 * Nouns
 *   group     some of the members, in a ring of their own; each member is in one group
 *   leader    the first of a group; the leaders form a ring too
 *   phases    collect: every group sums over its ring. exchange: the leaders sum over theirs, so each holds the total, while the
 *             others set their buffers to zero. spread: every group sums again, total + zeros, so all hold the total
 *
 * Hops. With groups of g and n/g leaders: 4(g-1) + 2(n/g-1), against 2(n-1) of one ring. Each leader sends up to 6 times the
 * buffer instead of twice.
 *
 * Rounds. Each phase is a round of its own in a group's ring (2k collects round k, 2k+1 spreads it), so a member that is a phase
 * ahead is held off by RingLink.
 *
 * Buffer. One phase runs at a time and RingLink settles it only when nothing queued is a view into the buffer any more; so
 * it may be set to zero between two phases, and belongs to the caller when the last one has settled.
 */
import { RingError } from '../errors.js';
import { departure } from './links.js';
import type { AllReduceLink, RingLink, RingStats } from './links.js';
import type { Ending } from './neighbours.js';
import type { SumArray } from '@lockstep/exact';

type Phase = 'collect' | 'exchange' | 'spread';

/** Made by DataServer.joinRing. Fails once and for good, as RingLink does, when one of its rings does. */
export class TieredLink implements AllReduceLink {
  readonly generation: number;
  readonly #group: RingLink;
  /** Null for a member that leads no group. */
  readonly #leaders: RingLink | null;
  /** Null between two rounds. */
  #phase: Phase | null = null;
  /** The leaders' ring ended while the round under way needs nothing of it any more: counts when the round is done. */
  #postponed: Ending | null = null;

  constructor({ group, leaders }: { group: RingLink; leaders: RingLink | null }) {
    this.generation = group.generation;
    this.#group = group;
    this.#leaders = leaders;
    void group.ended.then((ending) => leaders?.close(ending));
    void leaders?.ended.then((ending) => this.#leadersEnded(ending));
  }

  /** Why this link is dead, or null while it lives. */
  get failure(): RingError | null {
    return this.#group.failure ?? this.#leaders?.failure ?? null;
  }

  get droppedFrames(): number {
    return this.#group.droppedFrames + (this.#leaders?.droppedFrames ?? 0);
  }

  /**
   * Sums `buffer` (equal length and type on all members) over all groups, in place. Rounds must increase. The buffer belongs to
   * the rings until the promise settles; after a rejection its content is undefined. The stats are those of all phases together.
   * Rejects with RingError as RingLink.allReduce does; the lost member may be of another group.
   */
  async allReduce(options: { round: number; buffer: SumArray; signal?: AbortSignal }): Promise<RingStats> {
    const { round, buffer } = options;
    if (this.#phase !== null)
      throw new RingError('E_RING_MISUSE', `a round is being reduced; await it before round ${round}`);
    try {
      this.#phase = 'collect';
      const parts = [await this.#group.allReduce({ ...options, round: 2 * round })];
      this.#phase = 'exchange';
      if (this.#leaders === null) buffer.fill(0);
      else parts.push(await this.#leaders.allReduce(options));
      this.#phase = 'spread';
      parts.push(await this.#group.allReduce({ ...options, round: 2 * round + 1 }));
      return together(round, parts);
    } finally {
      this.#phase = null;
      if (this.#postponed !== null) this.#group.close(this.#postponed);
    }
  }

  /** Leaves both rings. An all-reduce under way rejects with E_RING_ABORTED. Calling it again does nothing. */
  close(): void {
    const ending = departure(this.#phase !== null);
    this.#group.close(ending);
    this.#leaders?.close(ending);
  }

  /** A leader that is done with a round may leave before another group has spread it: that group must not lose the round. */
  #leadersEnded(ending: Ending): void {
    if (this.#phase === 'spread') this.#postponed = ending;
    else this.#group.close(ending);
  }
}

function together(round: number, parts: readonly RingStats[]): RingStats {
  const sum = (value: (part: RingStats) => number) => parts.reduce((total, part) => total + value(part), 0);
  return {
    round,
    bytesSent: sum((part) => part.bytesSent),
    bytesReceived: sum((part) => part.bytesReceived),
    segmentsSent: sum((part) => part.segmentsSent),
    seconds: sum((part) => part.seconds),
    droppedFrames: sum((part) => part.droppedFrames),
    peakQueuedBytes: Math.max(...parts.map((part) => part.peakQueuedBytes)),
  };
}
