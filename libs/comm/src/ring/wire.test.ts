import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '#src/errors.js';
import { SEGMENT_BYTES } from '#src/ring/ring.js';
import { type SumArray, WIRE_BYTES, wireOf } from '@lockstep/exact';
import { HEADER_BYTES, decodeHeader, encodeMessage, framePrefix, requireLittleEndian } from '#src/ring/wire.js';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const header = fc.record({
  flags: fc.integer({ min: 0, max: 1 }),
  hop: fc.integer({ min: 0, max: 0xffff }),
  generation: u32,
  round: u32,
  segment: u32,
});

/** A message as the receiver gets it: without the WebSocket prefix, at some offset in memory. */
function messageOf(
  fields: { flags: number; hop: number; generation: number; round: number; segment: number },
  values: SumArray,
  at: number,
): Buffer {
  const head = encodeMessage({ ...fields, wire: wireOf(values), count: values.length });
  const payload = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const body = Buffer.concat([head.subarray(head.length - HEADER_BYTES), payload]);
  const memory = Buffer.alloc(body.length + at);
  body.copy(memory, at);
  return memory.subarray(at);
}

function wireCode(code: string) {
  return (error: unknown) => error instanceof WireError && error.code === code;
}

const sample = { flags: 0, hop: 3, generation: 7, round: 9, segment: 11 };

const decode = (message: Buffer) => decodeHeader(message, message.length);

const payload = fc.oneof(fc.int32Array({ maxLength: 50 }), fc.int16Array({ maxLength: 50 }));

test('a header reads back as it was written, with what its numbers are, at any alignment', () => {
  fc.assert(
    fc.property(header, payload, fc.integer({ min: 0, max: 7 }), (fields, values, at) => {
      const read = decode(messageOf(fields, values, at));
      assert.deepEqual(read, { ...fields, wire: wireOf(values), count: values.length });
    }),
  );
});

test('the WebSocket prefix announces the whole message with the shortest length encoding', () => {
  for (const [wire, count] of [0, 1, 24, 25, 26, 1000, 16_376, 16_377, 16_378, SEGMENT_BYTES / 4].flatMap((count) => [
    ['int32' as const, count] as const,
    ['int16' as const, 2 * count] as const,
  ])) {
    const head = encodeMessage({ ...sample, wire, count });
    const messageBytes = HEADER_BYTES + WIRE_BYTES[wire] * count;
    assert.equal(head[0], 0x82);
    const announced =
      head[1] < 126 ? head[1] : head[1] === 126 ? head.readUInt16BE(2) : Number(head.readBigUInt64BE(2));
    assert.equal(announced, messageBytes);
    const prefix = head.length - HEADER_BYTES;
    assert.deepEqual(framePrefix(head, 0, prefix), { bytes: prefix, messageBytes });
    if (prefix > 2) assert.equal(framePrefix(head, 0, prefix - 1), 'more');
    assert.equal(head.length - HEADER_BYTES, messageBytes < 126 ? 2 : messageBytes < 65_536 ? 4 : 10);
  }
});

test('every malformed frame has its own code', () => {
  const broken = (edit: (message: Buffer) => unknown) => {
    const message = messageOf(sample, Int32Array.of(1, 2), 0);
    const edited = edit(message);
    return edited instanceof Uint8Array ? Buffer.from(edited) : message;
  };
  assert.throws(() => decode(broken((m) => m.subarray(0, HEADER_BYTES - 1))), wireCode('E_WIRE_SHORT'));
  assert.throws(() => decode(Buffer.alloc(0)), wireCode('E_WIRE_SHORT'));
  assert.throws(() => decode(broken((m) => (m[0] ^= 1))), wireCode('E_WIRE_MAGIC'));
  assert.throws(() => decode(broken((m) => (m[4] += 1))), wireCode('E_WIRE_VERSION'));
  assert.throws(() => decode(broken((m) => (m[5] = 4))), wireCode('E_WIRE_FLAGS'));
  // int16 that are said to be int32, and the other way round.
  assert.throws(() => decode(broken((m) => (m[5] ^= 2))), wireCode('E_WIRE_LENGTH'));
  assert.throws(() => decode(broken((m) => m.subarray(0, m.length - 1))), wireCode('E_WIRE_LENGTH'));
  assert.throws(() => decode(broken((m) => void m.writeUInt32LE(3, 20))), wireCode('E_WIRE_LENGTH'));
});

test('a value that does not fit its field is refused before it is sent', () => {
  for (const wrong of [
    { round: -1 },
    { round: 2 ** 32 },
    { generation: 1.5 },
    { hop: 65_536 },
    { segment: NaN },
    { count: SEGMENT_BYTES / 4 + 1 },
    { wire: 'int16' as const, count: SEGMENT_BYTES / 2 + 1 },
    { flags: 2 },
  ]) {
    assert.throws(
      () => encodeMessage({ ...sample, wire: 'int32', count: 0, ...wrong }),
      wireCode('E_WIRE_FIELD'),
      JSON.stringify(wrong),
    );
  }
});

test('a big-endian machine is refused', () => {
  assert.throws(() => requireLittleEndian('BE'), wireCode('E_WIRE_BYTE_ORDER'));
  requireLittleEndian('LE');
});
