import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { DataServer } from '#src/ring/data-server.js';
import { RingError } from '#src/errors.js';
import { Proxy } from './proxy.fixture.js';
import { PATIENT_MS, clockOf, hangGuard, listen, placeIn, placeInTiers, ringError, ringOf } from './ring.fixture.js';
import type { AllReduceLink, RingStats } from '#src/ring/links.js';
import type { Member, Place } from '#src/control/messages.js';

const LENGTH = 100_003;
/** Members of three groups: a0 a1 a2, b0 b1, c0 c1; the first of each leads. */
const SEVEN = [3, 2, 2];

type Groups = readonly (readonly Member[])[];
type Tiers = { readonly links: ReadonlyMap<string, AllReduceLink>; readonly groups: Groups };

const LETTERS = 'abcdefghijkl';

/** Ids of groups of these sizes. */
function idsOf(sizes: readonly number[]): string[][] {
  return sizes.map((size, group) => Array.from({ length: size }, (_, rank) => `${LETTERS[group]}${rank}`));
}

type Served = { readonly server: DataServer; readonly member: Member };

async function serversOf(t: TestContext, sizes: readonly number[]): Promise<Served[][]> {
  const all = idsOf(sizes).map((ids) => Promise.all(ids.map((id) => listen(t, id))));
  return await Promise.all(all);
}

/** All join; `seenBy` may change the place that one of them is told. */
async function joinTiers(
  servers: readonly (readonly Served[])[],
  options: { generation?: number; seenBy?: (id: string, place: Place) => Place } = {},
): Promise<Tiers> {
  const { generation = 1, seenBy = (_: string, place: Place) => place } = options;
  const heartbeatTimeoutMs = PATIENT_MS;
  const groups = servers.map((group) => group.map(({ member }) => member));
  const joined = servers.flat().map(async ({ server, member: { id } }) => {
    const place = seenBy(id, placeInTiers(groups, id));
    return [id, await server.joinRing({ generation, place, heartbeatTimeoutMs, signal: hangGuard() })] as const;
  });
  return { links: new Map(await Promise.all(joined)), groups };
}

/** Full-range int32, different for each member and round: a sum of them wraps, as exact sums modulo 2^32 do on any path. */
function values(member: number, round: number, length: number): Int32Array {
  let state = (member * 7_919 + round * 104_729 + 1) | 0;
  return Int32Array.from({ length }, () => {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    return (state ^ (state >>> 15)) | 0;
  });
}

type Outcome = PromiseSettledResult<RingStats>;

/** These members reduce at once; what became of each, by id. */
async function reduce(
  links: ReadonlyMap<string, AllReduceLink>,
  ids: readonly string[],
  round: number,
  elements: number,
): Promise<Map<string, Outcome>> {
  const results = await Promise.allSettled(
    ids.map((id) => {
      const buffer = new Int32Array(elements).fill(1);
      return linkOf(links, id).allReduce({ round, buffer, signal: hangGuard() });
    }),
  );
  return new Map(ids.map((id, index) => [id, results[index]]));
}

function linkOf(links: ReadonlyMap<string, AllReduceLink>, id: string): AllReduceLink {
  const link = links.get(id);
  assert.ok(link !== undefined);
  return link;
}

/** Lets time pass until each of these has failed; whom it names. */
async function failuresOf(t: TestContext, links: ReadonlyMap<string, AllReduceLink>, ids: readonly string[]) {
  await clockOf(t).until(() => ids.every((id) => linkOf(links, id).failure !== null));
  return new Map(ids.map((id) => [id, linkOf(links, id).failure?.peer ?? null]));
}

for (const sizes of [SEVEN, [3, 3, 3], [1, 2], [2, 1, 1, 2]]) {
  test(`groups of ${sizes.join('+')} come to the bits of one ring, one round after another, for every awkward length`, async (t) => {
    const n = sizes.reduce((a, b) => a + b);
    const tiers = [...(await joinTiers(await serversOf(t, sizes))).links.values()];
    const ring = await ringOf(t, n);
    for (const [round, length] of [LENGTH, LENGTH, 0, 1, n + 1, 300_001, 2].entries()) {
      // Every other round is of int16.
      const [Numbers, bytesEach] = round % 2 === 0 ? [Int32Array, 4] : [Int16Array, 2];
      const reduceAll = async (links: readonly AllReduceLink[]) => {
        const buffers = links.map((_, member) => new Numbers(values(member, round, length)));
        const stats = await Promise.all(
          links.map((link, member) => link.allReduce({ round, buffer: buffers[member], signal: hangGuard() })),
        );
        return { buffers, stats };
      };
      const [tiered, flat] = await Promise.all([reduceAll(tiers), reduceAll(ring)]);
      for (const buffer of tiered.buffers) assert.deepEqual(buffer, flat.buffers[0]);
      const total = (value: (stats: RingStats) => number) => tiered.stats.reduce((sum, stats) => sum + value(stats), 0);
      const groupBytes = sizes.reduce((sum, size) => sum + 4 * (size - 1) * length * bytesEach, 0);
      assert.equal(
        total((stats) => stats.bytesSent),
        groupBytes + 2 * (sizes.length - 1) * length * bytesEach,
      );
      assert.equal(
        total((stats) => stats.bytesReceived),
        total((stats) => stats.bytesSent),
      );
      for (const stats of tiered.stats) assert.deepEqual([stats.round, stats.droppedFrames], [round, 0]);
    }
  });
}

test('members may start a round at any time', async (t) => {
  const { links } = await joinTiers(await serversOf(t, SEVEN));
  await Promise.all(
    [...links.values()].map(async (link, member) => {
      for (let round = 0; round < 6; round++) {
        if ((round + member) % 3 === 0) await clockOf(t).settle();
        const buffer = new Int32Array(LENGTH).fill(member + round);
        await link.allReduce({ round, buffer, signal: hangGuard() });
        assert.ok(buffer.every((value) => value === 21 + 7 * round));
      }
    }),
  );
});

test('members that leave as soon as their own part is done do not spoil the round for the others', async (t) => {
  const servers = await serversOf(t, SEVEN);
  for (let generation = 1; generation <= 5; generation++) {
    const { links } = await joinTiers(servers, { generation });
    await Promise.all(
      [...links.values()].map(async (link) => {
        const buffer = new Int32Array(LENGTH).fill(generation);
        await link.allReduce({ round: 0, buffer, signal: hangGuard() });
        link.close();
        assert.ok(buffer.every((value) => value === 7 * generation));
      }),
    );
  }
});

test('a leader that leaves when it is done does not spoil the round for a group that still spreads', async (t) => {
  const servers = await serversOf(t, SEVEN);
  // a2 is in its group's ring by hand, so that it can stop between two phases.
  const group = servers[0].map(({ member }) => member);
  const { links } = await joinTiers(servers, { seenBy: (id, place) => (id === 'a2' ? placeIn(group, id) : place) });
  const spreading = reduce(links, ['a0', 'a1'], 0, LENGTH);
  const done = reduce(links, ['b0', 'b1', 'c0', 'c1'], 0, LENGTH);
  await reduce(links, ['a2'], 0, LENGTH);
  await done;
  linkOf(links, 'b0').close();
  await clockOf(t).until(() => linkOf(links, 'c0').failure !== null);
  await clockOf(t).settle();
  const zeros = new Int32Array(LENGTH);
  await linkOf(links, 'a2').allReduce({ round: 1, buffer: zeros, signal: hangGuard() });
  for (const result of (await spreading).values()) assert.equal(result.status, 'fulfilled');
  assert.ok(zeros.every((value) => value === 7));
  assert.deepEqual((await failuresOf(t, links, ['a0', 'a1'])).get('a0'), 'b0');
});

test('a newer generation, of whatever shape, ends the all-reduce of the older one on both tiers', async (t) => {
  const servers = await serversOf(t, SEVEN);
  const old = await joinTiers(servers, { generation: 1 });
  // a2 does not start, so all others are stuck.
  const stuck = reduce(old.links, ['a0', 'a1', 'b0', 'b1', 'c0', 'c1'], 0, LENGTH);
  await clockOf(t).settle();
  const ring = servers.flat().map(({ member }) => member);
  const flat = await Promise.all(
    servers.flat().map(({ server, member }) => {
      const place = placeIn(ring, member.id);
      return server.joinRing({ generation: 2, place, heartbeatTimeoutMs: PATIENT_MS, signal: hangGuard() });
    }),
  );
  for (const result of (await clockOf(t).during(stuck)).values()) {
    assert.ok(result.status === 'rejected');
    ringError('E_RING_ABORTED')(result.reason);
  }
  const buffers = flat.map(() => Int32Array.of(1));
  await Promise.all(flat.map((link, rank) => link.allReduce({ round: 0, buffer: buffers[rank] })));
  const { links } = await joinTiers(servers, { generation: 3 });
  const again = await reduce(links, [...links.keys()], 0, 10);
  assert.ok([...again.values()].every(({ status }) => status === 'fulfilled'));
  assert.deepEqual([buffers[0][0], buffers[6][0]], [7, 7]);
});

/**
 * What holds the members back decides in which phase a victim is lost. `idle` is in its group's ring alone, by hand, and
 * does the phases it is told to: none leaves its group collecting, one leaves it spreading.
 */
const LOSSES: readonly { victim: string; idle: string; phases: 0 | 1; where: string }[] = [
  { victim: 'a0', idle: 'a2', phases: 0, where: 'a leader that collects' },
  { victim: 'a1', idle: 'a2', phases: 0, where: 'a member whose group collects' },
  { victim: 'b0', idle: 'a2', phases: 0, where: 'a leader among leaders' },
  { victim: 'b1', idle: 'a2', phases: 0, where: 'a member that waits for its leader among leaders' },
  { victim: 'a0', idle: 'a2', phases: 1, where: 'a leader that spreads' },
  { victim: 'a1', idle: 'a2', phases: 1, where: 'a member whose group spreads' },
];
for (const { victim, idle, phases, where } of LOSSES) {
  test(`${where} is lost: nobody hangs, whoever is not done fails, and all name it`, async (t) => {
    const child = fork(fileURLToPath(new URL('./member.fixture.js', import.meta.url)), [victim]);
    t.after(() => child.kill('SIGKILL'));
    const [{ port }] = (await once(child, 'message')) as [Member];
    const servers = await serversOf(t, SEVEN);
    const groups = servers.map((group) =>
      group.map(({ member }) => (member.id === victim ? { ...member, port } : member)),
    );
    const joined = once(child, 'message');
    child.send({
      generation: 1,
      place: placeInTiers(groups, victim),
      heartbeatTimeoutMs: PATIENT_MS,
      elements: LENGTH,
    });
    const others = servers.flat().filter(({ member }) => member.id !== victim);
    const links = new Map(
      await Promise.all(
        others.map(async ({ server, member: { id } }) => {
          const group = groups.find((members) => members.some((member) => member.id === id)) ?? [];
          const place = id === idle ? placeIn(group, id) : placeInTiers(groups, id);
          const options = { generation: 1, place, heartbeatTimeoutMs: PATIENT_MS, signal: hangGuard() };
          return [id, await server.joinRing(options)] as const;
        }),
      ),
    );
    await joined;
    const busy = others.map(({ member }) => member.id).filter((id) => id !== idle);
    const near = reduce(
      links,
      busy.filter((id) => id.startsWith('a')),
      0,
      LENGTH,
    );
    const far = reduce(
      links,
      busy.filter((id) => !id.startsWith('a')),
      0,
      LENGTH,
    );
    if (phases === 1) await Promise.all([reduce(links, [idle], 0, LENGTH), far]);
    await clockOf(t).settle();
    child.kill('SIGKILL');
    const names = await failuresOf(t, links, [...busy, idle]);
    assert.deepEqual(names, new Map([...busy, idle].map((id) => [id, victim])));
    for (const [id, result] of await clockOf(t).during(
      Promise.all([near, far]).then((both) => both.flatMap((of) => [...of])),
    )) {
      // With the total exchanged, a group that has all its members needs nobody else.
      const isDone = phases === 1 && !id.startsWith('a');
      assert.equal(result.status, isDone ? 'fulfilled' : 'rejected', id);
      if (result.status === 'rejected') ringError('E_RING_PEER_LOST', victim)(result.reason);
      await assert.rejects(
        linkOf(links, id).allReduce({ round: 1, buffer: new Int32Array(1) }),
        ringError('E_RING_PEER_LOST', victim),
      );
    }
  });
}

for (const [name, directions] of [
  ['both ways', ['toServer', 'toClient']],
  ['towards the successor only', ['toClient']],
] as const) {
  for (const state of ['idle', 'waiting']) {
    test(`a link between two leaders that goes dead ${name} is found by silence while all are ${state}, and its ends blame each other`, async (t) => {
      const servers = await serversOf(t, SEVEN);
      const [[a0], , [c0]] = servers;
      const { proxy, port } = await Proxy.before(t, a0.member.port);
      // b0 dials its predecessor a0 through the proxy.
      const { links } = await joinTiers(servers, {
        seenBy: (id, place) =>
          id === 'b0' && place.leaders !== null
            ? { ...place, leaders: { ...place.leaders, predecessor: { ...a0.member, port } } }
            : place,
      });
      const ids = [...links.keys()];
      for (const result of (await reduce(links, ids, 0, LENGTH)).values()) assert.equal(result.status, 'fulfilled');
      // c1 does not start: the leaders a0 and b0 exchange, and their groups wait for them.
      const busy = state === 'idle' ? [] : ids.filter((id) => id !== 'c1');
      const reducing = reduce(links, busy, 1, LENGTH);
      if (state === 'waiting') await clockOf(t).settle();
      proxy.swallow(...directions);
      const names = await failuresOf(t, links, ids);
      for (const [id, result] of await clockOf(t).during(reducing)) assert.equal(result.status, 'rejected', id);
      assert.deepEqual([names.get('a0'), names.get('a1'), names.get('a2')], ['b0', 'b0', 'b0']);
      assert.deepEqual([names.get('b0'), names.get('b1')], ['a0', 'a0']);
      const third = names.get(c0.member.id);
      assert.ok(third === 'a0' || third === 'b0', String(third));
      assert.equal(names.get('c1'), third);
      assert.ok([...links.values()].some(({ failure }) => failure?.code === 'E_RING_PEER_SILENT'));
    });
  }
}

for (const id of ['b0', 'b1']) {
  test(`an abort at ${id} rejects the all-reduce there and everywhere`, async (t) => {
    const { links } = await joinTiers(await serversOf(t, SEVEN));
    const others = [...links.keys()].filter((other) => other !== id && other !== 'a2');
    const reducing = reduce(links, others, 0, LENGTH);
    const abort = new AbortController();
    const buffer = new Int32Array(LENGTH);
    const aborted = linkOf(links, id).allReduce({ round: 0, buffer, signal: abort.signal });
    await clockOf(t).settle();
    abort.abort();
    await assert.rejects(clockOf(t).during(aborted), ringError('E_RING_ABORTED'));
    for (const result of (await clockOf(t).during(reducing)).values()) {
      assert.ok(result.status === 'rejected' && result.reason instanceof RingError);
      assert.equal(result.reason.code, 'E_RING_ABORTED');
    }
  });
}

test('two all-reduces at once and a round that does not increase are refused, and the link lives on', async (t) => {
  const { links } = await joinTiers(await serversOf(t, [2, 1]));
  const [first, ...others] = [...links.keys()];
  const link = linkOf(links, first);
  const running = reduce(links, [first], 4, 10);
  await assert.rejects(link.allReduce({ round: 5, buffer: new Int32Array(1) }), ringError('E_RING_MISUSE'));
  await reduce(links, others, 4, 10);
  await running;
  await assert.rejects(link.allReduce({ round: 4, buffer: new Int32Array(1) }), ringError('E_RING_MISUSE'));
  const results = await reduce(links, [...links.keys()], 5, 10);
  assert.ok([...results.values()].every(({ status }) => status === 'fulfilled'));
});

test('a leader that cannot join the ring of leaders leaves its group too, and names who is missing', async (t) => {
  const servers = await serversOf(t, SEVEN);
  // Nobody listens there any more.
  await servers[0][0].server.close();
  const groups = servers.map((group) => group.map(({ member }) => member));
  const end = new AbortController();
  const joining = servers.flat().flatMap(({ server, member: { id } }) => {
    const options = { generation: 1, heartbeatTimeoutMs: PATIENT_MS, signal: end.signal };
    return id === 'a0' ? [] : [server.joinRing({ ...options, place: placeInTiers(groups, id) })];
  });
  const ended = Promise.allSettled(joining);
  const [, , b0, b1] = joining;
  await assert.rejects(clockOf(t).during(b0), ringError('E_RING_UNREACHABLE', 'a0'));
  // Its own ring had formed.
  const left = await b1;
  await clockOf(t).until(() => left.failure !== null);
  end.abort();
  await ended;
});

test('places that no two tiers have are refused by code', async (t) => {
  const { server, member } = await listen(t, 'a0');
  const other = { ...member, id: 'b0' };
  const alone = { rank: 0, size: 1, predecessor: member, successor: 'a0' };
  const pair = { rank: 0, size: 2, predecessor: other, successor: 'b0' };
  const refused: readonly Place[] = [
    { ...alone, total: 2, leaders: null },
    { ...alone, total: 2, leaders: alone },
    { ...alone, total: 1, leaders: pair },
    { ...pair, total: 1, leaders: null },
    { ...pair, rank: 1, total: 3, leaders: pair },
    { ...alone, total: 2, leaders: { ...pair, rank: 2 } },
    { ...alone, total: 2, leaders: { ...pair, successor: 'c0' } },
  ];
  for (const place of refused) {
    const joining = server.joinRing({ generation: 1, place, heartbeatTimeoutMs: PATIENT_MS, signal: hangGuard() });
    await assert.rejects(joining, ringError('E_RING_MEMBERS', undefined), JSON.stringify(place));
  }
});
