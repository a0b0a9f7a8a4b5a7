import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { DataServer, MAX_HELD_DIALS } from '#src/ring/data-server.js';
import { PATIENT_MS, clockOf, hangGuard, joinAs, listen, ringError } from './ring.fixture.js';
import { CLOSE_CODES } from '#src/ring/neighbours.js';

/** Waits until a server has logged an event. */
function logWatcher() {
  const seen: string[] = [];
  const waiting: { event: string; resolve: () => void }[] = [];
  return {
    seen,
    log: (event: string) => {
      seen.push(event);
      waiting.filter((one) => one.event === event).forEach(({ resolve }) => resolve());
    },
    until: (event: string) =>
      seen.includes(event) ? Promise.resolve() : new Promise<void>((resolve) => waiting.push({ event, resolve })),
  };
}

test('a dial of a generation that the server has not reached is held and accepted when it joins', async (t) => {
  const watcher = logWatcher();
  const a = await listen(t, 'a');
  const b = await listen(t, 'b', watcher.log);
  const ring = [a.member, b.member];
  const early = a.server.joinRing(joinAs('a', 5, ring));
  await watcher.until('early dial held');
  const links = await Promise.all([early, b.server.joinRing(joinAs('b', 5, ring))]);
  const buffers = links.map(() => Int32Array.of(1, 2, 3));
  await Promise.all(links.map((link, rank) => link.allReduce({ round: 0, buffer: buffers[rank] })));
  assert.deepEqual(
    buffers.map((buffer) => [...buffer]),
    [
      [2, 4, 6],
      [2, 4, 6],
    ],
  );
});

test('an early dial whose generation never opens is refused when a newer one does', async (t) => {
  const watcher = logWatcher();
  const a = await listen(t, 'a');
  const b = await listen(t, 'b', watcher.log);
  const early = a.server.joinRing(joinAs('a', 5, [a.member, b.member]));
  await watcher.until('early dial held');
  const [refused] = await Promise.allSettled([early, b.server.joinRing(joinAs('b', 6, [b.member]))]);
  assert.ok(refused.status === 'rejected');
  ringError('E_RING_REFUSED', 'b')(refused.reason);
});

test('a dial of an older generation is refused', async (t) => {
  const a = await listen(t, 'a');
  const b = await listen(t, 'b');
  await b.server.joinRing(joinAs('b', 7, [b.member]));
  await assert.rejects(a.server.joinRing(joinAs('a', 6, [a.member, b.member])), ringError('E_RING_REFUSED', 'b'));
});

test('close codes tell a stale dialler, a stranger and a duplicate apart', async (t) => {
  const a = await listen(t, 'a');
  const b = await listen(t, 'b');
  const ring = [a.member, b.member];
  await Promise.all([a, b].map(({ server, member }) => server.joinRing(joinAs(member.id, 2, ring))));
  const codeOf = async (query: string) => {
    const ws = new WebSocket(`ws://127.0.0.1:${a.member.port}/ring?${query}`);
    const [code] = (await once(ws, 'close')) as [number];
    return code;
  };
  assert.equal(await codeOf('generation=1&tier=0&from=b'), CLOSE_CODES.staleGeneration);
  assert.equal(await codeOf('generation=2&tier=0&from=stranger'), CLOSE_CODES.notSuccessor);
  assert.equal(await codeOf('generation=2&tier=0&from=b'), CLOSE_CODES.duplicate);
});

test('only a bounded number of early dials is held; the oldest generation has to go', async (t) => {
  const { member } = await listen(t, 'a');
  const dials: WebSocket[] = [];
  t.after(() => dials.forEach((ws) => ws.terminate()));
  const closed: number[] = [];
  for (let i = 0; i < MAX_HELD_DIALS; i++) {
    const ws = new WebSocket(`ws://127.0.0.1:${member.port}/ring?generation=${100 + i}&tier=0&from=b`);
    ws.on('close', () => closed.push(100 + i));
    dials.push(ws);
    await once(ws, 'open');
  }
  assert.deepEqual(closed, []);
  const last = new WebSocket(`ws://127.0.0.1:${member.port}/ring?generation=999&tier=0&from=b`);
  dials.push(last);
  const [code] = (await once(dials[0], 'close')) as [number];
  assert.equal(code, CLOSE_CODES.tooManyHeld);
  assert.deepEqual(closed, [100]);
});

test('a predecessor that listens later is dialled again until it does', async (t) => {
  // An address of this machine at which nobody else looks for a free port.
  const host = '127.0.0.77';
  const placeholder = createServer((socket) => socket.destroy()).listen(0, host);
  await once(placeholder, 'listening');
  const { port } = placeholder.address() as AddressInfo;
  const a = await listen(t, 'a');
  const ring = [a.member, { id: 'b', host, port }];
  const joining = a.server.joinRing(joinAs('a', 1, ring));
  // It has dialled in vain.
  await once(placeholder, 'connection');
  placeholder.close();
  await once(placeholder, 'close');
  const b = await DataServer.listen({ host, port, selfId: 'b', clock: clockOf(t) });
  t.after(() => b.close());
  const links = await Promise.all([joining, b.joinRing(joinAs('b', 1, ring))]);
  assert.deepEqual(
    links.map(({ failure }) => failure),
    [null, null],
  );
});

test('joining ends with E_RING_ABORTED when its signal fires, when a newer generation opens, and when the server closes', async (t) => {
  const a = await listen(t, 'a');
  const b = await listen(t, 'b');
  const ring = [a.member, b.member];
  const abort = new AbortController();
  const first = a.server.joinRing({ ...joinAs('a', 1, ring), signal: abort.signal });
  abort.abort();
  await assert.rejects(first, ringError('E_RING_ABORTED'));
  const second = a.server.joinRing(joinAs('a', 2, ring));
  const third = a.server.joinRing(joinAs('a', 3, ring));
  await assert.rejects(second, ringError('E_RING_ABORTED'));
  const ended = assert.rejects(third, ringError('E_RING_ABORTED'));
  await a.server.close();
  await ended;
});

test('a newer generation ends the all-reduce of the older one', async (t) => {
  const a = await listen(t, 'a');
  const b = await listen(t, 'b');
  const ring = [a.member, b.member];
  const join = (generation: number) =>
    [a, b].map(({ server, member }) => server.joinRing(joinAs(member.id, generation, ring)));
  const [old] = await Promise.all(join(1));
  const stuck = assert.rejects(old.allReduce({ round: 0, buffer: new Int32Array(100) }), ringError('E_RING_ABORTED'));
  const links = await Promise.all(join(2));
  await stuck;
  const buffers = links.map(() => Int32Array.of(1));
  await Promise.all(links.map((link, rank) => link.allReduce({ round: 0, buffer: buffers[rank] })));
  assert.deepEqual([buffers[0][0], buffers[1][0]], [2, 2]);
});

test('a generation that is not newer, and a place that no ring has, are refused by code', async (t) => {
  const { server, member } = await listen(t, 'a');
  const join = (generation: number, rank: number, size: number, predecessor: string, successor: string) =>
    server.joinRing({
      generation,
      place: { rank, size, predecessor: { ...member, id: predecessor }, successor, total: size, leaders: null },
      heartbeatTimeoutMs: PATIENT_MS,
      signal: hangGuard(),
    });
  for (const [rank, size, predecessor, successor] of [
    [1, 1, 'a', 'a'],
    [-1, 1, 'a', 'a'],
    [0.5, 1, 'a', 'a'],
    [0, 0, 'a', 'a'],
    [0, 1, 'b', 'b'],
    [0, 1, 'a', 'b'],
    [0, 2, 'a', 'a'],
    [0, 2, 'b', 'a'],
    [0, 2, 'b', 'c'],
    [0, 3, 'b', 'b'],
    [0, 3, 'a', 'b'],
    [3, 3, 'b', 'c'],
  ] as const) {
    const refused = join(1, rank, size, predecessor, successor);
    await assert.rejects(refused, ringError('E_RING_MEMBERS'), `${rank} of ${size}, ${predecessor}, ${successor}`);
  }
  await assert.rejects(join(1.5, 0, 1, 'a', 'a'), ringError('E_RING_STALE'));
  await join(4, 0, 1, 'a', 'a');
  await assert.rejects(join(4, 0, 1, 'a', 'a'), ringError('E_RING_STALE'));
});

test('other requests reach the worker on the same port, other upgrades get a 404', async (t) => {
  const server = await DataServer.listen({
    host: '127.0.0.1',
    port: 0,
    selfId: 'a',
    handleRequest: (request, response) => response.end(`state at ${request.url}`),
  });
  t.after(() => server.close());
  const answer = await fetch(`http://127.0.0.1:${server.port}/state/3`);
  assert.equal(await answer.text(), 'state at /state/3');
  const plain = await listen(t, 'b');
  assert.equal((await fetch(`http://127.0.0.1:${plain.member.port}/`)).status, 404);
  for (const path of [
    '/',
    '//',
    '/ring?generation=x&tier=0&from=b',
    '/ring?generation=1&tier=0',
    '/ring?generation=1&from=b',
    '/ring?generation=1&tier=2&from=b',
    '/ring?generation=99999999999&tier=0&from=b',
  ]) {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}${path}`);
    const [error] = (await once(ws, 'error')) as [Error];
    assert.match(error.message, /404/, path);
  }
});
