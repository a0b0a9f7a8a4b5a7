import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RingSequenceError } from '#src/errors.js';
import { RingReduction } from '#src/ring/ring.js';
import type { OutgoingSegment } from '#src/ring/ring.js';
import { type SumArray, WIRES, wireOf } from '@lockstep/exact';

/** What a transport does with a segment that came. */
function receive(member: RingReduction, hop: number, segment: number, payload: SumArray) {
  const { adds, into } = member.place({ hop, segment, wire: wireOf(payload), count: payload.length });
  payload.forEach((value, i) => (into[i] = adds ? into[i] + value : value));
  member.received();
}

/** Runs n members in memory: each link is a queue of views, and `pick` says which link or sender moves next. */
function simulate(buffers: readonly SumArray[], segmentElements: number, pick: (choices: number) => number) {
  const n = buffers.length;
  const members = buffers.map((buffer, rank) => new RingReduction({ rank, n, buffer, segmentElements }));
  const links = members.map(() => [] as { sent: OutgoingSegment; copy: SumArray }[]);
  const bytesSent = members.map(() => 0);
  let blocked = members.map(() => false);
  for (;;) {
    const moves: (() => void)[] = [];
    members.forEach((member, rank) => {
      if (!blocked[rank]) {
        moves.push(() => {
          const sent = member.takeSend();
          blocked[rank] = sent === undefined;
          if (sent === undefined) return;
          bytesSent[rank] += sent.payload.byteLength;
          links[rank].push({ sent, copy: sent.payload.slice() });
        });
      }
      if (links[rank].length > 0) {
        moves.push(() => {
          const next = links[rank].shift();
          assert.ok(next !== undefined);
          const { sent, copy } = next;
          assert.deepEqual(sent.payload, copy, 'a queued view was overwritten before its delivery');
          receive(members[(rank + 1) % n], sent.hop, sent.segment, sent.payload);
          blocked = members.map(() => false);
        });
      }
    });
    if (moves.length === 0) break;
    moves[pick(moves.length)]();
  }
  return { members, bytesSent };
}

/** In the buffers' own integers, which wrap. */
function plainSum(buffers: readonly SumArray[]): SumArray {
  return buffers[0].map((_, i) => buffers.reduce((sum, buffer) => sum + buffer[i], 0));
}

const scene = fc
  .record({
    n: fc.integer({ min: 1, max: 6 }),
    length: fc.integer({ min: 0, max: 40 }),
    segmentElements: fc.integer({ min: 1, max: 12 }),
    wire: fc.constantFrom(...WIRES),
  })
  .chain(({ n, length, segmentElements, wire }) =>
    fc.record({
      segmentElements: fc.constant(segmentElements),
      buffers: fc.array(
        fc
          .array(fc.integer({ min: -(2 ** 27), max: 2 ** 27 }), { minLength: length, maxLength: length })
          .map((values) => (wire === 'int32' ? Int32Array.from(values) : Int16Array.from(values))),
        { minLength: n, maxLength: n },
      ),
    }),
  );

test('in any interleaving of sends and deliveries every member ends with the plain sum, and no queued view is overwritten', () => {
  fc.assert(
    fc.property(scene, fc.infiniteStream(fc.nat()), ({ buffers, segmentElements }, numbers) => {
      const expected = plainSum(buffers);
      const { members } = simulate(buffers, segmentElements, (choices) => Number(numbers.next().value) % choices);
      for (const [rank, member] of members.entries()) {
        assert.ok(member.done);
        assert.deepEqual(buffers[rank], expected);
      }
    }),
    { numRuns: 300 },
  );
});

test('all members together send 2(n-1) times the buffer, and each one 2(n-1)/n of it up to chunk rounding', () => {
  fc.assert(
    fc.property(scene, ({ buffers, segmentElements }) => {
      const n = buffers.length;
      const { bytesSent } = simulate(buffers, segmentElements, () => 0);
      assert.equal(
        bytesSent.reduce((a, b) => a + b, 0),
        2 * (n - 1) * buffers[0].byteLength,
      );
      for (const bytes of bytesSent) assert.ok(Math.abs(bytes - (2 * (n - 1) * buffers[0].byteLength) / n) < 8);
    }),
  );
});

test('a divisible buffer costs every member exactly 2(n-1)/n of its bytes, which are half as many of int16', () => {
  for (const n of [2, 3, 5])
    for (const Numbers of [Int32Array, Int16Array]) {
      const { bytesSent } = simulate(
        Array.from({ length: n }, () => new Numbers(n * 7)),
        3,
        () => 0,
      );
      assert.deepEqual(bytesSent, new Array(n).fill(2 * (n - 1) * 7 * Numbers.BYTES_PER_ELEMENT));
    }
});

test('a segment holds 1 MiB, whatever the numbers are', () => {
  for (const Numbers of [Int32Array, Int16Array]) {
    const member = new RingReduction({ rank: 0, n: 2, buffer: new Numbers(2_000_000) });
    assert.equal(member.takeSend()?.payload.byteLength, 1_048_576);
  }
});

test('one member alone, or an empty buffer, is done without a message', () => {
  const alone = new RingReduction({ rank: 0, n: 1, buffer: Int32Array.of(3) });
  assert.ok(alone.done);
  assert.equal(alone.takeSend(), undefined);
  const empty = new RingReduction({ rank: 2, n: 5, buffer: new Int32Array(0) });
  assert.ok(empty.done);
  assert.equal(empty.takeSend(), undefined);
});

test('segments are views into the buffer, sent before anything is received only from the own chunk', () => {
  const buffer = Int32Array.of(1, 2, 3, 4, 5, 6);
  const member = new RingReduction({ rank: 1, n: 3, buffer, segmentElements: 1 });
  const first = member.takeSend();
  const second = member.takeSend();
  assert.equal(member.takeSend(), undefined);
  assert.deepEqual([first?.hop, first?.segment, second?.segment], [1, 2, 3]);
  assert.equal(first?.payload.buffer, buffer.buffer);
  assert.deepEqual([first?.payload[0], second?.payload[0]], [3, 4]);
});

test('a duplicate, skipped, foreign, late or misshapen segment, and one of other numbers, is a coded error and changes nothing', () => {
  const fresh = () => new RingReduction({ rank: 1, n: 2, buffer: Int32Array.of(1, 2, 3, 4), segmentElements: 1 });
  const rejects = (member: RingReduction, hop: number, segment: number, count: number, code: string) => {
    assert.throws(
      () => receive(member, hop, segment, new Int32Array(count).fill(100)),
      (error) => error instanceof RingSequenceError && error.code === code,
    );
  };
  const buffer = Int32Array.of(1, 2, 3, 4);
  const member = new RingReduction({ rank: 1, n: 2, buffer, segmentElements: 1 });
  rejects(member, 1, 1, 1, 'E_RING_SEGMENT');
  rejects(member, 2, 0, 1, 'E_RING_SEGMENT');
  rejects(member, 0, 0, 1, 'E_RING_SEGMENT');
  rejects(member, 1, 9, 1, 'E_RING_SEGMENT');
  rejects(member, 1, 0, 2, 'E_RING_LENGTH');
  assert.throws(
    () => receive(member, 1, 0, Int16Array.of(100)),
    (error) => error instanceof RingSequenceError && error.code === 'E_RING_WIRE',
  );
  assert.deepEqual([...buffer], [1, 2, 3, 4]);
  receive(member, 1, 0, Int32Array.of(10));
  rejects(member, 1, 0, 1, 'E_RING_SEGMENT');
  assert.deepEqual([...buffer], [11, 2, 3, 4]);
  const finished = fresh();
  for (const [hop, segment] of [
    [1, 0],
    [1, 1],
    [2, 2],
    [2, 3],
  ]) {
    receive(finished, hop, segment, Int32Array.of(0));
  }
  assert.equal(finished.done, false, 'its own sends are still to be taken');
  rejects(finished, 2, 3, 1, 'E_RING_SEGMENT');
  while (finished.takeSend() !== undefined);
  assert.ok(finished.done);
});

test('a rank outside the ring and an empty segment size are callers mistakes', () => {
  const buffer = new Int32Array(1);
  for (const [rank, n] of [
    [0, 0],
    [2, 2],
    [-1, 2],
    [0.5, 2],
  ]) {
    assert.throws(() => new RingReduction({ rank, n, buffer }), RangeError);
  }
  assert.throws(() => new RingReduction({ rank: 0, n: 1, buffer, segmentElements: 0 }), RangeError);
});
