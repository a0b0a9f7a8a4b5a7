/**
 * The shape of a generation's rings. Below `tiersFrom` members there is one ring. From there on the ring order is cut into
 * groups, each a ring, whose first members (leaders) form a ring of their own (libs/comm, tiers.ts).
 *
 * A hop is one passage of data over one link; a step of the ring takes them one after another, so their number is what a large
 * generation pays. One ring of n: 2(n-1). Groups: each sums twice, the leaders once, so 4(g-1) + 2(G-1) with g members in the
 * largest of G groups; the least is near g = sqrt(n/2).
 */
import type { Member, Place, RingPlace } from '@lockstep/comm';

/**
 * Two tiers from so many members on. They carry three times the bytes of one ring, which costs more than the hops saved below
 * (test/bench/src/ring/ring-model.ts: 3 MB of gradients, 10 Gbit/s).
 */
export const TIERS_FROM = 64;

/** A host's own links are quicker than the network between hosts: groups of one host each may take so many times the hops. */
const HOST_HOPS_FACTOR = 2;

/** Hops of an all-reduce over these groups, one after another. */
export function hopsOf(groups: readonly (readonly unknown[])[]): number {
  const largest = Math.max(...groups.map((group) => group.length));
  return 4 * (largest - 1) + 2 * (groups.length - 1);
}

/**
 * Cuts members, given in ring order, into groups that keep this order: those of one host together where that suits (several on
 * each of several hosts), else pieces that differ by at most one member, as many as take the fewest hops.
 */
export function groupsOf<M extends Pick<Member, 'host'>>(members: readonly M[]): M[][] {
  const pieces = cut(members, bestCount(members.length));
  const byHost = new Map<string, M[]>();
  for (const member of members) {
    const group = byHost.get(member.host);
    if (group === undefined) byHost.set(member.host, [member]);
    else group.push(member);
  }
  const hosts = [...byHost.values()];
  const several = hosts.length > 1 && hosts.length <= members.length / 2;
  return several && hopsOf(hosts) <= HOST_HOPS_FACTOR * hopsOf(pieces) ? hosts : pieces;
}

/** Each member's place, by id. */
export function placesOf(members: readonly Member[], tiersFrom: number): ReadonlyMap<string, Place> {
  const total = members.length;
  const groups = total < tiersFrom ? [[...members]] : groupsOf(members);
  // One group needs no leaders, and leaders alone are one ring.
  if (groups.length === 1 || groups.length === total)
    return new Map(members.map(({ id }, rank) => [id, { ...ringPlace(members, rank), total, leaders: null }]));
  const leaders = groups.flatMap((group) => group.slice(0, 1));
  const places = groups.flatMap((group, number) =>
    group.map(({ id }, rank): [string, Place] => [
      id,
      { ...ringPlace(group, rank), total, leaders: rank === 0 ? ringPlace(leaders, number) : null },
    ]),
  );
  return new Map(places);
}

/** How many groups of n take the fewest hops; of several such numbers the smallest, as leaders' links are the longer ones. */
function bestCount(n: number): number {
  let best = 1;
  const hops = (count: number): number => 4 * (Math.ceil(n / count) - 1) + 2 * (count - 1);
  for (let count = 2; count <= n; count++) if (hops(count) < hops(best)) best = count;
  return best;
}

function cut<M>(members: readonly M[], count: number): M[][] {
  const start = (piece: number): number => Math.ceil((members.length * piece) / count);
  return Array.from({ length: count }, (_, piece) => members.slice(start(piece), start(piece + 1)));
}

function ringPlace(ring: readonly Member[], rank: number): RingPlace {
  const size = ring.length;
  const predecessor = ring[(rank + size - 1) % size];
  const successor = ring[(rank + 1) % size];
  if (predecessor === undefined || successor === undefined) throw new Error(`no place ${rank} in a ring of ${size}`);
  return { rank, size, predecessor, successor: successor.id };
}
