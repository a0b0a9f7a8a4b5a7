/**
 * The production RingReduction of every member in virtual time: a link carries one segment after another, each arrives alpha after its
 * last byte. Only the clock is of interest: all members share one buffer, whose values mean nothing.
 */
import { RingReduction, type OutgoingSegment } from '@lockstep/comm';
import { Agenda } from './agenda.js';

export interface Links {
  /** Seconds of a hop without payload. */
  readonly alpha: number;
  readonly bytesASecond: number;
  /** What is summed. */
  readonly buffer: Int32Array;
}

interface Arrival {
  readonly to: number;
  /** Null: the member enters. */
  readonly segment: OutgoingSegment | null;
}

/** One all-reduce. starts: when each member enters it, s. Returns when each has the sum. */
export function simulateRing(starts: readonly number[], { alpha, bytesASecond, buffer }: Links): number[] {
  const n = starts.length;
  const members = starts.map((_, rank) => new RingReduction({ rank, n, buffer }));
  const linkFree = starts.map(() => 0);
  const finished = [...starts];
  const agenda = new Agenda<Arrival>();
  const send = (rank: number, now: number): void => {
    for (let next = members[rank].takeSend(); next !== undefined; next = members[rank].takeSend()) {
      const left = Math.max(now, linkFree[rank]) + next.payload.byteLength / bytesASecond;
      linkFree[rank] = left;
      const to = (rank + 1) % n;
      agenda.put(Math.max(left + alpha, starts[to]), { to, segment: next });
    }
  };
  starts.forEach((at, rank) => agenda.put(at, { to: rank, segment: null }));
  for (let next = agenda.take(); next !== undefined; next = agenda.take()) {
    const { at, event } = next;
    const { to, segment } = event;
    if (segment !== null) {
      const { hop, segment: number, payload } = segment;
      members[to].place({ hop, segment: number, wire: 'int32', count: payload.length });
      members[to].received();
    }
    finished[to] = Math.max(finished[to], at);
    send(to, at);
  }
  if (!members.every((one) => one.done)) throw new Error('the simulated ring stands still');
  return finished;
}

/** The three phases of libs/comm's tiers.ts. When the last member has the sum, s. */
export function simulateTiers(groups: readonly (readonly unknown[])[], links: Links): number {
  const collected = groups.map((group) =>
    simulateRing(
      group.map(() => 0),
      links,
    ),
  );
  const exchanged = simulateRing(
    collected.map(([leader]) => leader),
    links,
  );
  const spread = collected.flatMap(([, ...others], group) => simulateRing([exchanged[group], ...others], links));
  return Math.max(...spread);
}
