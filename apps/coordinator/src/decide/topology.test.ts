import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Member, Place } from '@lockstep/comm';
import { groupsOf, hopsOf, placesOf } from '#src/decide/topology.js';

/** Member i is on host hosts[i]. */
function membersOn(hosts: readonly string[]): Member[] {
  return hosts.map((host, index) => ({ id: `w${index}`, host, port: 1 + index }));
}

/** Each on a host of its own. */
function apart(n: number): Member[] {
  return membersOn(Array.from({ length: n }, (_, index) => `host-${index}`));
}

const sizes = (groups: readonly (readonly unknown[])[]): number[] => groups.map((group) => group.length);

const someMembers = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 1, maxLength: 80 });

describe('groups', () => {
  it('hold every member once, in ring order, whatever the hosts', () => {
    fc.assert(
      fc.property(someMembers, fc.boolean(), (hosts, mixed) => {
        const members = mixed ? membersOn(hosts) : apart(hosts.length);
        const groups = groupsOf(members);
        assert.ok(groups.every((group) => group.length > 0));
        assert.deepEqual(new Set(groups.flat()), new Set(members));
        assert.equal(groups.flat().length, members.length);
        const order = (group: readonly Member[]): number[] => group.map((member) => members.indexOf(member));
        for (const group of groups)
          assert.deepEqual(
            order(group),
            order(group).toSorted((a, b) => a - b),
          );
        // Leaders too.
        const leaders = groups.flatMap((group) => group.slice(0, 1));
        assert.deepEqual(
          order(leaders),
          order(leaders).toSorted((a, b) => a - b),
        );
      }),
    );
  });

  it('of members apart take no more hops than any other even cut, or than one ring', () => {
    for (const n of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 63, 64, 65, 127, 512, 1000]) {
      const groups = groupsOf(apart(n));
      const spread = Math.max(...sizes(groups)) - Math.min(...sizes(groups));
      assert.ok(spread <= 1, `${n}: sizes differ by ${spread}`);
      for (let count = 1; count <= n; count++)
        assert.ok(hopsOf(groups) <= 4 * (Math.ceil(n / count) - 1) + 2 * (count - 1), `${n} in ${count} groups`);
    }
  });

  it('have about the root of n/2 members', () => {
    assert.deepEqual(sizes(groupsOf(apart(7))), [2, 2, 2, 1]);
    assert.equal(hopsOf(groupsOf(apart(7))), 10);
    for (const n of [64, 512, 4096]) {
      const groups = groupsOf(apart(n));
      const good = Math.sqrt(n / 2);
      const largest = Math.max(...sizes(groups));
      assert.ok(largest > good * 0.75 && largest < good * 1.34, `${n}: ${largest}`);
      assert.ok(Math.abs(hopsOf(groups) - (4 * (good - 1) + 2 * (n / good - 1))) < 4, `${n}: ${hopsOf(groups)} hops`);
    }
  });

  it('are the hosts where each has several members, in whatever order they came', () => {
    const hosts = Array.from({ length: 64 }, (_, index) => `node-${index % 8}`);
    const groups = groupsOf(membersOn(hosts));
    assert.deepEqual(sizes(groups), new Array(8).fill(8));
    for (const group of groups) assert.equal(new Set(group.map(({ host }) => host)).size, 1);
  });

  it('are not the hosts where there is one, where most have one member, or where one host would be too long a ring', () => {
    const one = new Array<string>(64).fill('node');
    const lonely = [...apart(60).map(({ host }) => host), 'node', 'node', 'node', 'node'];
    const long = [...new Array<string>(32).fill('left'), ...new Array<string>(32).fill('right')];
    for (const hosts of [one, lonely, long])
      assert.deepEqual(sizes(groupsOf(membersOn(hosts))), sizes(groupsOf(apart(64))));
  });
});

/** Goes round from one member; the ids in order. Each must dial the one that awaits it, and know its rank. */
function walk(places: ReadonlyMap<string, Place>, start: string, ringOf: (place: Place) => Place['leaders']): string[] {
  const seen: string[] = [];
  for (let id = start; !seen.includes(id);) {
    const place = places.get(id);
    const ring = place === undefined ? null : ringOf(place);
    assert.ok(ring !== null, `${id} has no place in this ring`);
    const next = places.get(ring.successor);
    const there = next === undefined ? null : ringOf(next);
    assert.equal(there?.predecessor.id, id);
    assert.equal(there.rank, (ring.rank + 1) % ring.size);
    seen.push(id);
    id = ring.successor;
  }
  return seen;
}

describe('places', () => {
  it('are one ring of all below the threshold', () => {
    const members = apart(9);
    const places = placesOf(members, 10);
    assert.deepEqual(
      walk(places, 'w0', (place) => place),
      members.map(({ id }) => id),
    );
    for (const { leaders, total, size } of places.values()) assert.deepEqual([leaders, total, size], [null, 9, 9]);
  });

  it('form a ring of each group and one of their leaders from the threshold on', () => {
    fc.assert(
      fc.property(someMembers, fc.boolean(), (hosts, mixed) => {
        const members = mixed ? membersOn(hosts) : apart(hosts.length);
        const groups = groupsOf(members);
        const places = placesOf(members, 1);
        assert.equal(places.size, members.length);
        const flat = groups.length === 1 || groups.length === members.length;
        const rings = flat ? [members] : groups;
        for (const ring of rings) {
          const ids = ring.map(({ id }) => id);
          assert.deepEqual(
            walk(places, ids[0] ?? '', (place) => place),
            ids,
          );
          for (const [rank, id] of ids.entries()) {
            const place = places.get(id);
            assert.deepEqual([place?.rank, place?.size, place?.total], [rank, ids.length, members.length]);
            assert.equal(place?.leaders !== null, !flat && rank === 0);
          }
        }
        if (flat) return;
        const leaders = groups.flatMap((group) => group.slice(0, 1)).map(({ id }) => id);
        assert.deepEqual(
          walk(places, leaders[0] ?? '', (place) => place.leaders),
          leaders,
        );
      }),
    );
  });
});
