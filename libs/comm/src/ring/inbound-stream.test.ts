import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '#src/errors.js';
import { InboundStream, WINDOW_BYTES } from '#src/ring/inbound-stream.js';
import type { StreamOwner, Verdict } from '#src/ring/inbound-stream.js';
import { encodeMessage } from '#src/ring/wire.js';
import type { FrameHeader } from '#src/ring/wire.js';
import { type SumArray, wireOf } from '@lockstep/exact';

const HTTP = Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n');
const PING = Buffer.from([0x89, 3, 1, 2, 3]);

type Frame = { readonly kind: 'add' | 'store' | 'ignore'; readonly length: number; readonly isEarly: boolean };

const payloadOf = (segment: number, length: number) =>
  Int32Array.from({ length }, (_, i) => segment * 1_000_003 + i * 7);

function frameBytes(segment: number, payload: SumArray): Buffer {
  const wire = wireOf(payload);
  const head = encodeMessage({ flags: 0, wire, hop: 1, generation: 1, round: 0, segment, count: payload.length });
  return Buffer.concat([head, Buffer.from(payload.buffer)]);
}

/** Nothing is expected of it but what a test overrides. */
function ownerOf(overrides: Partial<StreamOwner>): StreamOwner {
  return {
    pass: () => undefined,
    begin: () => assert.fail('a data frame'),
    end: () => assert.fail('the end of a data frame'),
    nextStoreBytes: () => 0,
    broken: (error) => assert.fail(error.message),
    ...overrides,
  };
}

const windows = new WeakMap<InboundStream, Buffer>();

/** The window of the next read: taken as soon as the last one is delivered, as Node does. */
function windowOf(stream: InboundStream): Buffer {
  const window = windows.get(stream) ?? stream.window();
  windows.set(stream, window);
  return window;
}

/** Fills the window with the first bytes of `bytes`; `after` is called when the next window is taken. */
function readOnce(stream: InboundStream, bytes: Buffer, after: () => void = () => undefined): void {
  bytes.copy(windowOf(stream));
  stream.read(bytes.length);
  windows.set(stream, stream.window());
  after();
}

/** Reads all bytes, each read as long as the window and `next` allow. */
function feed(stream: InboundStream, bytes: Buffer, next: () => number, after?: () => void): void {
  for (let at = 0; at < bytes.length;) {
    const room = windowOf(stream).length;
    assert.ok(room > 0, 'a window of no bytes');
    const end = Math.min(at + room, at + next(), bytes.length);
    readOnce(stream, bytes.subarray(at, end), after);
    at = end;
  }
}

const frames = fc.array(
  fc.record({
    kind: fc.constantFrom('add' as const, 'store' as const, 'ignore' as const),
    length: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 16_000, max: 50_000 })),
    isEarly: fc.boolean(),
  }),
  { maxLength: 8 },
);
const numbers = fc.constantFrom(Int32Array, Int16Array);
const cuts = fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: WINDOW_BYTES })));

test('however the reads cut the stream, payloads are added, stored or dropped in order, and ws gets all the rest', () => {
  fc.assert(
    fc.property(frames, cuts, fc.boolean(), numbers, (list: Frame[], lengths, knowsNext, Numbers) => {
      const bytesEach = Numbers.BYTES_PER_ELEMENT;
      const memories = list.map(({ length }) => new SharedArrayBuffer(bytesEach * (length + 1)));
      const targets: SumArray[] = memories.map((memory) =>
        (Numbers === Int32Array ? new Int32Array(memory) : new Int16Array(memory)).fill(5),
      );
      const payloads: SumArray[] = list.map(({ length }, i) => new Numbers(payloadOf(i, length)));
      const intoOf = (i: number) => targets[i].subarray(1);
      const passed: Buffer[] = [];
      const wasOffered = new Set<number>();
      let begun = 0;
      let ended = 0;
      const stream = new InboundStream(
        ownerOf({
          pass: (bytes) => passed.push(bytes),
          begin: ({ segment }): Verdict => {
            assert.equal(segment, begun);
            const { kind, isEarly } = list[segment];
            if (isEarly && !wasOffered.has(segment)) {
              wasOffered.add(segment);
              return 'later';
            }
            begun++;
            return kind === 'ignore' ? 'ignored' : { adds: kind === 'add', into: intoOf(segment) };
          },
          end: () => ended++,
          nextStoreBytes: () => (knowsNext && list[begun]?.kind === 'store' ? list[begun].length * bytesEach : 0),
        }),
      );
      const bytes = Buffer.concat([HTTP, ...payloads.flatMap((payload, i) => [frameBytes(i, payload), PING])]);
      feed(
        stream,
        bytes,
        () => Number(lengths.next().value),
        () => stream.resume(),
      );
      while (stream.isHeld) stream.resume();
      assert.equal(begun, list.length);
      assert.equal(ended, list.filter(({ kind }) => kind !== 'ignore').length);
      assert.deepEqual(Buffer.concat(passed), Buffer.concat([HTTP, ...list.map(() => PING)]));
      list.forEach(({ kind }, i) => {
        const expected = payloads[i].map((value) => (kind === 'add' ? value + 5 : kind === 'store' ? value : 5));
        assert.equal(targets[i][0], 5);
        assert.ok(
          Buffer.from(targets[i].buffer, bytesEach).equals(Buffer.from(expected.buffer)),
          `frame ${i}, ${kind}`,
        );
      });
    }),
    { numRuns: 150 },
  );
});

test('a large payload that is stored is read into its place', () => {
  const into = new Int32Array(new SharedArrayBuffer(400_000));
  const stream = new InboundStream(
    ownerOf({
      begin: () => ({ adds: false, into }),
      end: () => undefined,
      nextStoreBytes: () => into.byteLength,
    }),
  );
  const payload = payloadOf(3, into.length);
  const bytes = Buffer.concat([HTTP, frameBytes(0, payload)]);
  feed(stream, bytes.subarray(0, HTTP.length), () => HTTP.length);
  const start = windowOf(stream).length;
  assert.ok(start < 100, 'more than a header is read before the payload');
  readOnce(stream, bytes.subarray(HTTP.length, HTTP.length + start));
  const window = windowOf(stream);
  assert.equal(window.buffer, into.buffer);
  assert.deepEqual([window.byteOffset, window.length], [0, into.byteLength]);
});

test('what is held stays where it is while another read comes, and is whole when its round starts', () => {
  let started = false;
  const into = new Int32Array(20_000);
  const stream = new InboundStream(
    ownerOf({ begin: () => (started ? { adds: true, into } : 'later'), end: () => undefined }),
  );
  const payload = payloadOf(1, into.length);
  feed(stream, Buffer.concat([HTTP, frameBytes(0, payload)]), () => 30_000);
  assert.ok(stream.isHeld);
  started = true;
  stream.resume();
  assert.ok(!stream.isHeld);
  assert.deepEqual(into, payload);
});

test('frames that each come early, round after round, do not use up the room for reads', () => {
  const into = new Int32Array(8_000);
  let started = false;
  let ended = 0;
  const stream = new InboundStream(
    ownerOf({ begin: () => (started ? { adds: false, into } : 'later'), end: () => ended++ }),
  );
  feed(stream, HTTP, () => HTTP.length);
  const payload = payloadOf(1, into.length);
  for (let round = 0; round < 200; round++) {
    started = false;
    feed(stream, frameBytes(round, payload), () => WINDOW_BYTES);
    assert.ok(stream.isHeld);
    started = true;
    stream.resume();
    assert.equal(ended, round + 1);
  }
});

test('a place that is the window is free only after that read, and nothing is written to it afterwards', () => {
  const into = new Int32Array(40_000);
  const stream = new InboundStream(ownerOf({ begin: () => ({ adds: false, into }) }));
  const bytes = Buffer.concat([HTTP, frameBytes(0, payloadOf(1, into.length))]);
  feed(stream, bytes.subarray(0, 1000), () => 1000);
  assert.equal(windowOf(stream).buffer, into.buffer);
  let isFree = false;
  stream.abandon(() => (isFree = true));
  assert.equal(isFree, false);
  readOnce(stream, bytes.subarray(1000, 1100));
  assert.equal(isFree, true);
  into.fill(9);
  feed(stream, bytes.subarray(1100), () => 10_000);
  assert.ok(into.every((value) => value === 9));
  let isFreeAtOnce = false;
  stream.abandon(() => (isFreeAtOnce = true));
  assert.ok(isFreeAtOnce);
});

const FOREIGN: readonly { name: string; start: Buffer }[] = [
  { name: 'a text message', start: Buffer.from([0x81, 2, 0x68, 0x69]) },
  { name: 'a fragment', start: Buffer.from([0x02, 2, 1, 1]) },
  { name: 'a masked message', start: Buffer.from([0x82, 0x82, 1, 2, 3, 4, 1, 1]) },
  { name: 'a message beyond the largest frame', start: Buffer.from([0x82, 127, 0, 0, 0, 0, 0x7f, 0, 0, 0]) },
  { name: 'a message of more than 4 GiB', start: Buffer.from([0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]) },
];
for (const { name, start } of FOREIGN) {
  test(`${name} and all that follows is left to ws`, () => {
    const passed: Buffer[] = [];
    const stream = new InboundStream(ownerOf({ pass: (bytes) => passed.push(bytes) }));
    const bytes = Buffer.concat([HTTP, start, frameBytes(0, Int32Array.of(1))]);
    feed(stream, bytes, () => 3);
    assert.deepEqual(Buffer.concat(passed), bytes);
  });
}

test('a frame that is none of ours, or is too short, is reported and dropped, and the stream goes on behind it', () => {
  const errors: string[] = [];
  const begun: FrameHeader[] = [];
  const stream = new InboundStream(
    ownerOf({
      broken: (error) => {
        assert.ok(error instanceof WireError);
        errors.push(error.code);
      },
      begin: (header) => {
        begun.push(header);
        return 'ignored';
      },
    }),
  );
  const wrongMagic = Buffer.concat([Buffer.from([0x82, 30]), Buffer.alloc(30)]);
  const short = Buffer.from([0x82, 3, 1, 2, 3]);
  feed(stream, Buffer.concat([HTTP, wrongMagic, short, frameBytes(7, Int32Array.of(1))]), () => 5);
  assert.deepEqual(errors, ['E_WIRE_MAGIC', 'E_WIRE_SHORT']);
  assert.deepEqual(
    begun.map(({ segment }) => segment),
    [7],
  );
});
