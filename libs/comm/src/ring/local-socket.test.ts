import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { DataServer } from '#src/ring/data-server.js';
import type { DataServerLog } from '#src/ring/data-server.js';
import { Proxy } from './proxy.fixture.js';
import { clockOf, hangGuard, joinAs, listen, ringError } from './ring.fixture.js';
import type { AllReduceLink } from '#src/ring/links.js';
import { LOCAL_NAME, localPath, newLocalName } from '#src/ring/local-socket.js';
import { MessageError, PROTOCOL_VERSION, parseWorkerMessage } from '#src/control/messages.js';
import type { Member } from '#src/control/messages.js';

const NO_NAMES = newLocalName() === null ? 'no abstract names on this system' : false;

/** A name of no socket, or of one that the test opens itself. */
function unused(): string {
  const name = newLocalName();
  assert.ok(name !== null);
  return name;
}

/** Over what each member has reached its predecessor, in the order in which they did. */
function reached() {
  const over: string[] = [];
  const log: DataServerLog = (event, fields) => {
    if (event === 'predecessor reached') over.push(String(fields['over']));
  };
  return { over, log };
}

/** Two members; b's server is listed as `seen` makes it. */
async function pair(t: TestContext, log: DataServerLog, seen: (b: Member) => Member): Promise<AllReduceLink[]> {
  const a = await listen(t, 'a', log);
  const b = await listen(t, 'b', log, 'local');
  const ring = [a.member, seen(b.member)];
  return await Promise.all([a, b].map(({ server, member: { id } }) => server.joinRing(joinAs(id, 1, ring))));
}

async function assertSums(links: readonly AllReduceLink[]): Promise<void> {
  const buffers = links.map((_, rank) => new Int32Array(700_001).fill(rank + 1));
  await Promise.all(
    links.map((link, rank) => link.allReduce({ round: 0, buffer: buffers[rank], signal: hangGuard() })),
  );
  assert.ok(buffers.every((buffer) => buffer.every((value) => value === 3)));
}

test('a name is 128 random bits where there are abstract names, and null elsewhere', () => {
  const names = [newLocalName('linux'), newLocalName('linux')];
  assert.match(String(names[0]), LOCAL_NAME);
  assert.notEqual(names[0], names[1]);
  for (const platform of ['darwin', 'win32'] as const) assert.equal(newLocalName(platform), null);
});

test('only a name of that form is taken from a message: it becomes part of a path', () => {
  const hello = {
    type: 'hello',
    protocol: PROTOCOL_VERSION,
    worker: 'w',
    instance: '0'.repeat(32),
    host: 'h',
    port: 1,
    run: null,
  };
  const local = '0123456789abcdef0123456789abcdef';
  assert.deepEqual(parseWorkerMessage({ ...hello, local }), { ...hello, local });
  assert.deepEqual(parseWorkerMessage(hello), hello);
  for (const odd of ['', `${local}0`, `/${local.slice(1)}`, local.toUpperCase(), `${local}\n`, null, 1])
    assert.throws(() => parseWorkerMessage({ ...hello, local: odd }), MessageError, String(odd));
});

test(
  'a predecessor that has a local socket is dialled there, one that has none over TCP',
  { skip: NO_NAMES },
  async (t) => {
    const { over, log } = reached();
    const links = await pair(t, log, (b) => b);
    assert.deepEqual(over.toSorted(), ['local', 'tcp']);
    await assertSums(links);
  },
);

test('a name that belongs to nobody here is no failure: TCP is dialled at once', { skip: NO_NAMES }, async (t) => {
  const { over, log } = reached();
  const links = await pair(t, log, (b) => ({ ...b, local: unused() }));
  assert.deepEqual(over, ['tcp', 'tcp']);
  await assertSums(links);
});

test('so is a name under which somebody else listens', { skip: NO_NAMES }, async (t) => {
  const local = unused();
  let dials = 0;
  const stranger = createServer((socket) => {
    dials++;
    socket.destroy();
  });
  stranger.listen(localPath(local));
  await once(stranger, 'listening');
  t.after(() => stranger.close());
  const { over, log } = reached();
  await assertSums(await pair(t, log, (b) => ({ ...b, local })));
  assert.deepEqual([dials, over], [1, ['tcp', 'tcp']]);
});

test(
  'a predecessor that is announced without its name is reached where it is announced, through what stands there',
  { skip: NO_NAMES },
  async (t) => {
    const { over, log } = reached();
    const a = await listen(t, 'a', log);
    const b = await listen(t, 'b', log, 'local');
    const { proxy, port } = await Proxy.before(t, b.member.port);
    const ring = [a.member, { id: 'b', host: '127.0.0.1', port }];
    const links = await Promise.all([a, b].map(({ server, member: { id } }) => server.joinRing(joinAs(id, 1, ring))));
    assert.deepEqual(over, ['tcp', 'tcp']);
    await assertSums(links);
    proxy.swallow('toClient', 'toServer');
    const failures = await clockOf(t).during(
      Promise.allSettled(
        links.map((link) => link.allReduce({ round: 1, buffer: new Int32Array(10), signal: hangGuard() })),
      ),
    );
    assert.deepEqual(
      failures.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
  },
);

test(
  'what the predecessor answers over its local socket counts, and TCP is not asked again',
  { skip: NO_NAMES },
  async (t) => {
    const a = await listen(t, 'a');
    const b = await listen(t, 'b', undefined, 'local');
    await b.server.joinRing(joinAs('b', 7, [b.member]));
    // Nobody listens on port 1, so an answer can have come over the local socket only.
    const seen = { ...b.member, port: 1 };
    await assert.rejects(a.server.joinRing(joinAs('a', 6, [a.member, seen])), ringError('E_RING_REFUSED', 'b'));
  },
);

test(
  'a name that is taken already is not announced, and the port serves all the same',
  { skip: NO_NAMES },
  async (t) => {
    const localName = unused();
    const options = { host: '127.0.0.1', port: 0, selfId: 'a', localName };
    const first = await DataServer.listen(options);
    const events: string[] = [];
    const second = await DataServer.listen({ ...options, log: (event) => events.push(event) });
    t.after(() => second.close());
    assert.deepEqual([first.local, second.local, events], [localName, null, ['no local socket']]);
    assert.equal((await fetch(`http://127.0.0.1:${second.port}/`)).status, 404);
    await first.close();
    const third = await DataServer.listen(options);
    t.after(() => third.close());
    assert.equal(third.local, localName, 'closing gives the name back');
  },
);
