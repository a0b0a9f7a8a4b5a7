import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  PATIENT_MS,
  TRANSPORTS,
  clockOf,
  hangGuard,
  joinAs,
  listen,
  memberOf,
  messageOf,
  placeIn,
  ringError,
  ringOf,
  withFakePeer,
} from './ring.fixture.js';
import type { AllReduceLink } from '#src/ring/links.js';
import { Outbound, SEND_HIGH_WATER_BYTES, SEND_QUEUE_BOUND_BYTES } from '#src/ring/neighbours.js';
import { decodeHeader } from '#src/ring/wire.js';

/** Different values for each rank and element, whose sums do not overflow. */
function values(rank: number, length: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => ((i * 2_654_435_761 + rank * 40_503) % 200_000_003) - 100_000_001);
}

function plainSum(n: number, length: number): Int32Array {
  const sum = new Int32Array(length);
  for (let rank = 0; rank < n; rank++) {
    const part = values(rank, length);
    for (let i = 0; i < length; i++) sum[i] += part[i];
  }
  return sum;
}

/** All members reduce at once; what became of each. */
function reduceAll(links: readonly AllReduceLink[], round: number, buffers: readonly Int32Array[]) {
  return Promise.allSettled(
    links.map((link, rank) => link.allReduce({ round, buffer: buffers[rank], signal: hangGuard() })),
  );
}

for (const [n, over] of [1, 2, 3, 5].flatMap((n) => TRANSPORTS.map((over) => [n, over] as const))) {
  test(`${n} members over real sockets get the plain sum for every awkward length, one all-reduce after another (${over})`, async (t) => {
    const links = await ringOf(t, n, 1, over);
    for (const [round, length] of [1_000_003, 0, 1, n - 1, n + 1, 0, 70_000].entries()) {
      const buffers = links.map((_, rank) => values(rank, length));
      const stats = await Promise.all(
        links.map((link, rank) => link.allReduce({ round, buffer: buffers[rank], signal: hangGuard() })),
      );
      const expected = plainSum(n, length);
      for (const buffer of buffers)
        assert.ok(Buffer.from(buffer.buffer).equals(Buffer.from(expected.buffer)), `length ${length}`);
      const sent = stats.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
      assert.equal(sent, 2 * (n - 1) * length * 4);
      assert.equal(
        stats.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
        sent,
      );
      for (const { droppedFrames, seconds } of stats) assert.deepEqual([droppedFrames, seconds >= 0], [0, true]);
    }
  });
}

for (const n of [1, 2, 3, 4, 5]) {
  test(`${n} members get the sum of int16, which wrap as int16 do, for half the bytes and every awkward length`, async (t) => {
    const links = await ringOf(t, n);
    for (const [round, length] of [0, 1, 2, n - 1, n + 1, 7, 700_001].entries()) {
      const buffers = links.map((_, rank) => Int16Array.from(values(rank, length)));
      const expected = Int16Array.from(plainSum(n, length));
      const stats = await Promise.all(
        links.map((link, rank) => link.allReduce({ round, buffer: buffers[rank], signal: hangGuard() })),
      );
      for (const buffer of buffers) assert.deepEqual(buffer, expected, `length ${length}`);
      assert.equal(
        stats.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
        2 * (n - 1) * length * 2,
      );
    }
  });
}

test('members with other wires end the round with E_RING_WIRE before anything is added, also where an empty chunk hides it first', async (t) => {
  for (const [generation, length] of [
    [1, 1000],
    [2, 1],
  ]) {
    const links = await ringOf(t, 2, generation);
    const buffers = [new Int32Array(length).fill(1), new Int16Array(length).fill(2)];
    const results = await Promise.allSettled(
      links.map((link, rank) => link.allReduce({ round: 0, buffer: buffers[rank], signal: hangGuard() })),
    );
    const reasons = results.map((result) => (result.status === 'rejected' ? String(result.reason) : 'fulfilled'));
    assert.ok(
      reasons.some((reason) => /E_RING_PROTOCOL: .*E_RING_WIRE: .*int(16|32)/.test(reason)),
      reasons.join('\n'),
    );
    assert.ok(!reasons.includes('fulfilled'), reasons.join('\n'));
    assert.ok(buffers[0].every((value) => value === 1) && buffers[1].every((value) => value === 2));
  }
});

test('a part of a SharedArrayBuffer is summed in place and its surroundings stay as they were', async (t) => {
  const links = await ringOf(t, 2);
  const memories = links.map((_, rank) => new Int32Array(new SharedArrayBuffer(4 * 1002)).fill(rank + 1));
  const results = await reduceAll(
    links,
    0,
    memories.map((memory) => memory.subarray(1, 1001)),
  );
  assert.ok(results.every(({ status }) => status === 'fulfilled'));
  memories.forEach((memory, rank) => {
    assert.deepEqual([memory[0], memory[1], memory[1000], memory[1001]], [rank + 1, 3, 3, rank + 1]);
  });
});

test('members may start a round at any time: frames that come early wait for it', async (t) => {
  const links = await ringOf(t, 3);
  const length = 300_000;
  await Promise.all(
    links.map(async (link, rank) => {
      for (let round = 0; round < 6; round++) {
        if ((round + rank) % 3 === 0) await clockOf(t).settle();
        const buffer = values(rank, length);
        await link.allReduce({ round, buffer, signal: hangGuard() });
        assert.deepEqual(buffer.subarray(0, 50), plainSum(3, 50));
        assert.deepEqual(buffer[length - 1], plainSum(3, length)[length - 1]);
      }
    }),
  );
});

for (const over of TRANSPORTS) {
  test(`while a receiver is slow the sender queues up to its high-water mark and never above its bound (${over})`, async (t) => {
    const links = await ringOf(t, 2, 1, over);
    // Half of it goes out unasked: far more than the kernel's socket buffers take.
    const buffers = [0, 1].map((rank) => new Int32Array(8_000_000).fill(rank + 1));
    const full = new Promise<void>((resolve) => {
      t.mock.getter(Outbound.prototype, 'queuedBytes', function (this: Outbound) {
        const queued = this.socket.writableLength;
        if (queued >= SEND_HIGH_WATER_BYTES) resolve();
        return queued;
      });
    });
    const early = links[0].allReduce({ round: 0, buffer: buffers[0], signal: hangGuard() });
    // The receiver reads nothing before its round starts, which it does not until the sender has stopped.
    await Promise.race([full, early]);
    const late = links[1].allReduce({ round: 0, buffer: buffers[1], signal: hangGuard() });
    const [first] = await Promise.all([early, late]);
    assert.ok(first.peakQueuedBytes >= SEND_HIGH_WATER_BYTES, `${first.peakQueuedBytes} bytes queued`);
    assert.ok(first.peakQueuedBytes <= SEND_QUEUE_BOUND_BYTES, `${first.peakQueuedBytes} bytes queued`);
    assert.ok(buffers.every((buffer) => buffer.every((value) => value === 3)));
  });
}

test('a big all-reduce leaves the event loop turning between its segments', async (t) => {
  const links = await ringOf(t, 2);
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  const reducing = reduceAll(
    links,
    0,
    [0, 1].map(() => new Int32Array(8_000_000)),
  );
  turn();
  const results = await reducing;
  isOver = true;
  assert.ok(results.every(({ status }) => status === 'fulfilled'));
  // A turn takes in what the kernel holds of a connection, which is less than its 32 MB.
  assert.ok(turns >= 5, `the event loop has turned ${turns} times`);
});

for (const [n, over] of [2, 3, 5].flatMap((n) => TRANSPORTS.map((over) => [n, over] as const))) {
  test(`when one of ${n} processes is killed midway, every other member gets E_RING_PEER_LOST and the name of the killed one (${over})`, async (t) => {
    const child = fork(fileURLToPath(new URL('./member.fixture.js', import.meta.url)), ['victim']);
    t.after(() => child.kill('SIGKILL'));
    const victim = await memberOf(child, over);
    const others = await Promise.all(Array.from({ length: n - 1 }, (_, i) => listen(t, `w${i}`, undefined, over)));
    const ring = [victim, ...others.map(({ member }) => member)];
    child.send({ generation: 3, place: placeIn(ring, 'victim'), heartbeatTimeoutMs: PATIENT_MS, elements: null });
    const links = await Promise.all(others.map(({ server, member }) => server.joinRing(joinAs(member.id, 3, ring))));
    const results = reduceAll(
      links,
      0,
      links.map(() => new Int32Array(4_000_000)),
    );
    await clockOf(t).settle();
    child.kill('SIGKILL');
    for (const result of await clockOf(t).during(results)) {
      assert.ok(result.status === 'rejected');
      ringError('E_RING_PEER_LOST', 'victim')(result.reason);
    }
    for (const link of links) {
      assert.equal(link.failure?.code, 'E_RING_PEER_LOST');
      await assert.rejects(
        link.allReduce({ round: 1, buffer: new Int32Array(1) }),
        ringError('E_RING_PEER_LOST', 'victim'),
      );
    }
  });
}

test('an abort rejects the all-reduce with E_RING_ABORTED here and at the neighbours, and frees the buffer', async (t) => {
  const links = await ringOf(t, 3);
  const abort = new AbortController();
  const buffers = links.map(() => new Int32Array(4_000_000));
  // Member 2 does not start, so nobody can finish.
  const results = Promise.allSettled([
    links[0].allReduce({ round: 0, buffer: buffers[0], signal: abort.signal }),
    links[1].allReduce({ round: 0, buffer: buffers[1], signal: hangGuard() }),
  ]);
  await clockOf(t).settle();
  abort.abort();
  for (const result of await clockOf(t).during(results)) {
    assert.ok(result.status === 'rejected');
    ringError('E_RING_ABORTED')(result.reason);
  }
  await assert.rejects(links[2].allReduce({ round: 0, buffer: buffers[2] }), ringError('E_RING_ABORTED'));
});

test('a signal that is aborted already rejects before anything is sent', async (t) => {
  const [link] = await ringOf(t, 1);
  await assert.rejects(
    link.allReduce({ round: 0, buffer: new Int32Array(1), signal: AbortSignal.abort() }),
    ringError('E_RING_ABORTED'),
  );
});

test('two all-reduces at once and a round that does not increase are refused, and the link lives on', async (t) => {
  const links = await ringOf(t, 2);
  const buffers = links.map(() => new Int32Array(10).fill(1));
  const running = links[0].allReduce({ round: 4, buffer: buffers[0] });
  await assert.rejects(links[0].allReduce({ round: 5, buffer: buffers[0] }), ringError('E_RING_MISUSE'));
  await Promise.all([running, links[1].allReduce({ round: 4, buffer: buffers[1] })]);
  await assert.rejects(links[0].allReduce({ round: 4, buffer: buffers[0] }), ringError('E_RING_MISUSE'));
  const results = await reduceAll(links, 5, buffers);
  assert.ok(results.every(({ status }) => status === 'fulfilled'));
  assert.deepEqual([buffers[0][0], buffers[1][9]], [4, 4]);
});

test('frames of an older round or generation are dropped and counted, and do not touch the sum', async (t) => {
  const peer = await withFakePeer(t, 9);
  const buffer = Int32Array.of(1, 2);
  const reducing = peer.link.allReduce({ round: 5, buffer, signal: hangGuard() });
  peer.send({ hop: 1, segment: 1, round: 4, generation: 9, values: [1000] });
  peer.send({ hop: 1, segment: 1, round: 5, generation: 8, values: [1000] });
  peer.send({ hop: 1, segment: 1, round: 5, generation: 9, values: [10] });
  peer.send({ hop: 2, segment: 0, round: 5, generation: 9, values: [21] });
  const stats = await reducing;
  assert.deepEqual([...buffer], [21, 12]);
  assert.deepEqual([stats.droppedFrames, peer.link.droppedFrames], [2, 2]);
});

test('frames of a round that has not started pause the socket and are used when it starts', async (t) => {
  const peer = await withFakePeer(t, 1);
  peer.send({ hop: 1, segment: 1, round: 0, generation: 1, values: [10] });
  peer.send({ hop: 2, segment: 0, round: 0, generation: 1, values: [21] });
  // Answers to pings show whether the real member reads: none comes while it is paused.
  const events: string[] = [];
  peer.toReal.on('pong', () => events.push('pong'));
  peer.toReal.ping();
  await clockOf(t).settle();
  events.push('start');
  const buffer = Int32Array.of(1, 2);
  await peer.link.allReduce({ round: 0, buffer, signal: hangGuard() });
  assert.deepEqual([...buffer], [21, 12]);
  if (!events.includes('pong')) await once(peer.toReal, 'pong');
  assert.deepEqual(events, ['start', 'pong']);
});

const BROKEN: readonly { name: string; message: Buffer | string }[] = [
  { name: 'a text message', message: 'hello' },
  { name: 'a frame with a wrong magic', message: Buffer.alloc(24) },
  {
    name: 'a frame of a newer generation',
    message: messageOf({ hop: 1, segment: 1, round: 0, generation: 2, values: [1] }),
  },
  { name: 'an out-of-order segment', message: messageOf({ hop: 2, segment: 0, round: 0, generation: 1, values: [1] }) },
  {
    name: 'a segment of the wrong length',
    message: messageOf({ hop: 1, segment: 1, round: 0, generation: 1, values: [1, 2] }),
  },
  {
    name: 'a segment of int16 where int32 is summed',
    message: messageOf({ hop: 1, segment: 1, round: 0, generation: 1, values: [1], wire: 'int16' }),
  },
  {
    name: 'a second accept',
    message: messageOf({ hop: 0, segment: 0, round: 0, generation: 1, values: [], flags: 1 }),
  },
];
for (const { name, message } of BROKEN) {
  test(`${name} ends the all-reduce with E_RING_PROTOCOL, naming the peer`, async (t) => {
    const peer = await withFakePeer(t, 1);
    const reducing = peer.link.allReduce({ round: 0, buffer: Int32Array.of(1, 2), signal: hangGuard() });
    peer.toReal.send(message);
    await assert.rejects(reducing, ringError('E_RING_PROTOCOL', 'w1'));
  });
}

test('a message larger than a segment, and data against the direction, end the link', async (t) => {
  const large = await withFakePeer(t, 1);
  const first = large.link.allReduce({ round: 0, buffer: Int32Array.of(1, 2), signal: hangGuard() });
  large.toReal.send(Buffer.alloc(2_000_000));
  await assert.rejects(first, ringError('E_RING_PEER_LOST', 'w1'));
  const backward = await withFakePeer(t, 1);
  const second = backward.link.allReduce({ round: 0, buffer: Int32Array.of(1, 2), signal: hangGuard() });
  backward.fromReal.send(Buffer.alloc(24));
  await assert.rejects(second, ringError('E_RING_PROTOCOL', 'w1'));
});

test('closing a link ends the all-reduce under way, and later calls', async (t) => {
  const links = await ringOf(t, 2);
  const reducing = links[0].allReduce({ round: 0, buffer: new Int32Array(10) });
  links[0].close();
  await assert.rejects(reducing, ringError('E_RING_ABORTED'));
  await assert.rejects(links[0].allReduce({ round: 1, buffer: new Int32Array(10) }), ringError('E_RING_ABORTED'));
  await assert.rejects(links[1].allReduce({ round: 0, buffer: new Int32Array(10) }), ringError('E_RING_ABORTED'));
});

test('a member that leaves as soon as its own part is done does not spoil the round for the others', async (t) => {
  for (let round = 1; round <= 5; round++) {
    const links = await ringOf(t, 3, round);
    const buffers = links.map((_, rank) => values(rank, 400_000));
    const expected = plainSum(3, 400_000);
    await Promise.all(
      links.map(async (link, rank) => {
        await link.allReduce({ round: 0, buffer: buffers[rank], signal: hangGuard() });
        link.close();
      }),
    );
    for (const buffer of buffers) assert.deepEqual(buffer, expected);
  }
});

test('a neighbour that leaves between two rounds is named by the next all-reduce', async (t) => {
  const links = await ringOf(t, 2);
  links[1].close();
  const reducing = links[0].allReduce({ round: 0, buffer: new Int32Array(10), signal: hangGuard() });
  await assert.rejects(reducing, ringError('E_RING_PEER_LOST', 'w1'));
});

test('a peer that has all it needs may leave first: the last frames from the other side still count', async (t) => {
  const peer = await withFakePeer(t, 1);
  const lastSend = new Promise<void>((resolve) => {
    peer.fromReal.on('message', (message: Buffer) => {
      if (decodeHeader(message, message.length).hop === 2) resolve();
    });
  });
  const buffer = Int32Array.of(1, 2);
  const reducing = peer.link.allReduce({ round: 0, buffer, signal: hangGuard() });
  peer.send({ hop: 1, segment: 1, round: 0, generation: 1, values: [10] });
  // All of ours has arrived there: it closes its receiving side before its own last frame reaches us.
  await lastSend;
  peer.fromReal.close(1000);
  await once(peer.fromReal, 'close');
  peer.send({ hop: 2, segment: 0, round: 0, generation: 1, values: [21] });
  await reducing;
  assert.deepEqual([...buffer], [21, 12]);
  assert.equal(peer.link.failure?.code, 'E_RING_PEER_LOST');
});

test('a peer that stops reading does not delay the rejection forever: its socket is destroyed', async (t) => {
  const peer = await withFakePeer(t, 1);
  peer.fromReal.pause();
  const abort = new AbortController();
  const reducing = peer.link.allReduce({ round: 0, buffer: new Int32Array(8_000_000), signal: abort.signal });
  await clockOf(t).settle();
  abort.abort();
  await assert.rejects(clockOf(t).during(reducing), ringError('E_RING_ABORTED'));
});
