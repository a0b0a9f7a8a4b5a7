import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MONOTONIC } from '#src/clock.js';
import type { DataServer } from '#src/ring/data-server.js';
import { RingError } from '#src/errors.js';
import { Proxy } from './proxy.fixture.js';
import type { Direction, Slowness } from './proxy.fixture.js';
import {
  PATIENT_MS,
  TRANSPORTS,
  clockOf,
  hangGuard,
  joinAs,
  listen,
  memberOf,
  placeIn,
  ringError,
  ringOf,
  withFakePeer,
} from './ring.fixture.js';
import type { AllReduceLink } from '#src/ring/links.js';
import type { Member } from '#src/control/messages.js';

const SEVERAL_TIMEOUTS_MS = 3 * PATIENT_MS;
/** Of the time that passes, for what a dial waits for: the sooner it is over the better, and nothing else depends on it. */
const SHORT_MS = 200;
/** Half of it goes out unasked: far more than the kernel's socket buffers take. */
const MANY = 8_000_000;

/** n members; w1 dials w0 through a proxy. */
async function ringWithProxy(t: TestContext, n: number, slow: Slowness | null = null) {
  const all = await Promise.all(Array.from({ length: n }, (_, rank) => listen(t, `w${rank}`)));
  const { proxy, port } = await Proxy.before(t, all[0].member.port, slow);
  const ring = all.map(({ member }) => member);
  const seenByW1 = ring.map((member) => (member.id === 'w0' ? { ...member, port } : member));
  const joining = Promise.all(
    all.map(({ server, member }) => server.joinRing(joinAs(member.id, 1, member.id === 'w1' ? seenByW1 : ring))),
  );
  // The handshake goes over a slow link too.
  const links = await (slow === null ? joining : clockOf(t).during(joining));
  return { proxy, links };
}

function reduceAll(links: readonly AllReduceLink[], round: number, length: number, value = 1) {
  return Promise.allSettled(
    links.map(async (link) => {
      const buffer = new Int32Array(length).fill(value);
      await link.allReduce({ round, buffer, signal: hangGuard() });
      return buffer[length - 1];
    }),
  );
}

/** Lets time pass until each link has failed; its code and whom it names. */
async function failures(t: TestContext, links: readonly AllReduceLink[]): Promise<[string, string | null][]> {
  await clockOf(t).until(() => links.every(({ failure }) => failure !== null));
  return links.map(({ failure }) => [failure?.code ?? '', failure?.peer ?? null]);
}

const BOTH: readonly Direction[] = ['toServer', 'toClient'];
for (const [name, directions] of [
  ['both ways', BOTH],
  ['towards the predecessor only', ['toServer']],
  ['towards the successor only', ['toClient']],
] as const) {
  for (const n of [2, 3, 4]) {
    test(`a link between two of ${n} idle members that goes dead ${name} is found by silence, and its two ends name each other`, async (t) => {
      const { proxy, links } = await ringWithProxy(t, n);
      assert.deepEqual(
        (await reduceAll(links, 0, 1000)).map((result) => result.status),
        Array(n).fill('fulfilled'),
      );
      proxy.swallow(...directions);
      const found = await failures(t, links);
      assert.deepEqual([found[0][1], found[1][1]], ['w1', 'w0']);
      const codes = found.map(([code]) => code);
      assert.ok(codes.slice(0, 2).includes('E_RING_PEER_SILENT'), codes.join());
      for (const [code, peer] of found.slice(2)) {
        assert.equal(code, 'E_RING_PEER_LOST');
        assert.ok(peer === 'w0' || peer === 'w1', `${peer} is at neither end of the dead link`);
      }
    });
  }
}

test('a link that goes dead in the middle of an all-reduce ends it, and its two ends name each other', async (t) => {
  const { proxy, links } = await ringWithProxy(t, 3);
  const reducing = reduceAll(links.slice(0, 2), 0, MANY);
  await clockOf(t).settle();
  proxy.swallow(...BOTH);
  // Only now does the last member start: without the link nobody can finish.
  const [last] = await clockOf(t).during(reduceAll(links.slice(2), 0, MANY));
  const [first, second] = await clockOf(t).during(reducing);
  assert.ok(first.status === 'rejected' && second.status === 'rejected' && last.status === 'rejected');
  assert.ok(first.reason instanceof RingError && second.reason instanceof RingError);
  assert.deepEqual([first.reason.peer, second.reason.peer], ['w1', 'w0']);
});

for (const [n, over] of [2, 3].flatMap((n) => TRANSPORTS.map((over) => [n, over] as const))) {
  test(`a stopped process is found by its silence and named by every other of ${n} members (${over})`, async (t) => {
    const child = fork(fileURLToPath(new URL('./member.fixture.js', import.meta.url)), ['victim']);
    t.after(() => child.kill('SIGKILL'));
    const victim = await memberOf(child, over);
    const others = await Promise.all(Array.from({ length: n - 1 }, (_, i) => listen(t, `w${i}`, undefined, over)));
    const ring = [victim, ...others.map(({ member }) => member)];
    const joined = once(child, 'message');
    child.send({ generation: 3, place: placeIn(ring, 'victim'), heartbeatTimeoutMs: PATIENT_MS, elements: null });
    const links = await Promise.all(others.map(({ server, member }) => server.joinRing(joinAs(member.id, 3, ring))));
    await joined;
    child.kill('SIGSTOP');
    const found = await failures(t, links);
    assert.ok(
      found.every(([, peer]) => peer === 'victim'),
      JSON.stringify(found),
    );
    assert.ok(
      found.some(([code]) => code === 'E_RING_PEER_SILENT'),
      JSON.stringify(found),
    );
  });
}

test('members that are idle between rounds, wait for others, or do not read yet are not silent', async (t) => {
  const links = await ringOf(t, 3);
  await clockOf(t).advance(SEVERAL_TIMEOUTS_MS);
  // Member 2 does not read what member 1 sends (its round has not started), and members 0 and 1 wait for it.
  const waiting = reduceAll(links.slice(0, 2), 0, MANY);
  await clockOf(t).advance(SEVERAL_TIMEOUTS_MS);
  const results = [...(await reduceAll(links.slice(2), 0, MANY)), ...(await waiting)];
  for (const result of results) assert.ok(result.status === 'fulfilled' && result.value === 3, JSON.stringify(result));
});

test('a link so slow that one frame takes longer than the timeout is not silent while bytes trickle', async (t) => {
  const clock = clockOf(t);
  const { links } = await ringWithProxy(t, 2, { clock, bytes: 4_000, everyMs: PATIENT_MS / 20 });
  const started = clock.now();
  // Half of it, 300 KB, goes over the slow link as one frame.
  const results = await clock.during(reduceAll(links, 0, 150_000));
  assert.ok(clock.now() - started > SEVERAL_TIMEOUTS_MS);
  for (const result of results) assert.ok(result.status === 'fulfilled' && result.value === 2, JSON.stringify(result));
});

test('after this process stood still for several timeouts it blames nobody', async (t) => {
  const links = await ringOf(t, 2);
  await clockOf(t).advance(PATIENT_MS / 2);
  clockOf(t).jump(SEVERAL_TIMEOUTS_MS);
  await clockOf(t).advance(PATIENT_MS / 2);
  assert.deepEqual(
    links.map(({ failure }) => failure),
    [null, null],
  );
  const results = await reduceAll(links, 0, 1000);
  assert.ok(results.every(({ status }) => status === 'fulfilled'));
});

test('pings and answers to them do not pile up for a peer that does not read', async (t) => {
  const peer = await withFakePeer(t, 1);
  peer.fromReal.pause();
  const abort = new AbortController();
  const reducing = peer.link.allReduce({ round: 0, buffer: new Int32Array(MANY), signal: abort.signal });
  // More pings than ws would answer before it ends the connection; they also keep the peer from being silent.
  for (let i = 0; i < 100; i++) {
    peer.fromReal.ping();
    peer.toReal.ping();
    await clockOf(t).advance(PATIENT_MS / 20);
  }
  assert.equal(peer.link.failure, null);
  abort.abort();
  await assert.rejects(clockOf(t).during(reducing), ringError('E_RING_ABORTED'));
});

/** Joins a ring of two whose other member is at `port`. */
function joinWith(server: DataServer, member: Member, port: number, heartbeatTimeoutMs = PATIENT_MS) {
  return server.joinRing(joinAs('a', 1, [member, { id: 'b', host: '127.0.0.1', port }], heartbeatTimeoutMs));
}

test('a predecessor that refuses connections is given up as unreachable after the timeout', async (t) => {
  const { server, member } = await listen(t, 'a', undefined, 'tcp', MONOTONIC);
  // Nobody listens on port 1.
  await assert.rejects(joinWith(server, member, 1, SHORT_MS), ringError('E_RING_UNREACHABLE', 'b'));
});

test('a predecessor that takes the connection and never answers is given up as unreachable after the timeout', async (t) => {
  const mute = createServer().listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.after(() => mute.close());
  mute.on('connection', (socket) => t.after(() => socket.destroy()));
  const address = mute.address();
  assert.ok(address !== null && typeof address === 'object');
  const { server, member } = await listen(t, 'a', undefined, 'tcp', MONOTONIC);
  await assert.rejects(joinWith(server, member, address.port, SHORT_MS), ringError('E_RING_UNREACHABLE', 'b'));
});

test('a predecessor that holds the dial is waited for as long as it answers pings, and no longer', async (t) => {
  const a = await listen(t, 'a');
  const b = await listen(t, 'b');
  const { proxy, port } = await Proxy.before(t, b.member.port);
  const joining = joinWith(a.server, a.member, port);
  let outcome = 'waiting';
  joining.then(
    () => (outcome = 'joined'),
    () => (outcome = 'failed'),
  );
  await clockOf(t).advance(SEVERAL_TIMEOUTS_MS);
  assert.equal(outcome, 'waiting');
  proxy.swallow('toClient');
  await assert.rejects(clockOf(t).during(joining), ringError('E_RING_PEER_SILENT', 'b'));
});
