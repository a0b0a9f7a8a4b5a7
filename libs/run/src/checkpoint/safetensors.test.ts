import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CheckpointError } from '#src/errors.js';
import {
  decodeSafetensors,
  encodeSafetensors,
  MAX_HEADER_BYTES,
  type SafetensorsEntry,
} from '#src/checkpoint/safetensors.js';

const rawTensor = fc.record({
  name: fc.string({ unit: 'binary' }).filter((name) => name !== '__metadata__'),
  shape: fc.array(fc.nat(4), { maxLength: 4 }),
  fill: fc.integer(),
});
const tensors = fc.uniqueArray(rawTensor, { selector: ({ name }) => name, maxLength: 6 }).map((list) =>
  list.map(({ name, shape, fill }): SafetensorsEntry => {
    const size = shape.reduce((a, b) => a * b, 1);
    // Every bit pattern must survive, NaNs included.
    const bits = Uint32Array.from({ length: size }, (_, i) => Math.imul(fill + i, 0x9e3779b1));
    return { name, dtype: 'F32', shape, data: new Float32Array(bits.buffer) };
  }),
);
const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 4, noNullPrototype: true });

const bitsOf = (data: Float32Array): number[] => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];

/** A file with any header text and `dataBytes` zero bytes of data. */
function file(header: string, dataBytes: number): Uint8Array {
  const json = Buffer.from(header, 'utf8');
  const bytes = Buffer.alloc(8 + json.length + dataBytes);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, 8);
  return bytes;
}

const hasCode = (code: string) => (error: unknown) => error instanceof CheckpointError && error.code === code;

test('what is encoded is decoded again, bit for bit, at any address', () => {
  fc.assert(
    fc.property(tensors, metadata, fc.nat(7), (entries, notes, shift) => {
      const joined = Buffer.concat(encodeSafetensors(entries, notes));
      const moved = new Uint8Array(joined.length + shift).subarray(shift);
      moved.set(joined);
      const decoded = decodeSafetensors(moved);
      assert.deepEqual(Object.entries(decoded.metadata).sort(), Object.entries(notes).sort());
      assert.equal(decoded.tensors.size, entries.length);
      for (const { name, shape, data } of entries) {
        const tensor = decoded.tensors.get(name);
        assert.ok(tensor);
        assert.deepEqual(tensor.shape, shape);
        assert.deepEqual(bitsOf(tensor.data), bitsOf(data));
      }
    }),
  );
});

test('notes may have any key, also one that means something to JavaScript', () => {
  const notes = Object.fromEntries([
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ]);
  const { metadata: read } = decodeSafetensors(Buffer.concat(encodeSafetensors([], notes)));
  assert.deepEqual(Object.entries(read), Object.entries(notes));
});

test('the data begins on 8 bytes and the header is padded with spaces', () => {
  for (const name of ['a', 'ab', 'abc', 'abcdefgh']) {
    const [header] = encodeSafetensors([{ name, dtype: 'F32', shape: [1], data: new Float32Array(1) }], {});
    assert.equal(header.length % 8, 0);
    assert.equal(Buffer.from(header).readBigUInt64LE(), BigInt(header.length - 8));
    assert.match(Buffer.from(header.subarray(8)).toString(), /^\{.*\} *$/);
  }
});

test('the bytes of a known file are those of the format description', () => {
  const bytes = Buffer.concat(
    encodeSafetensors([{ name: 't', dtype: 'F32', shape: [2], data: Float32Array.of(1, -2) }], {}),
  );
  const header = '{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.padEnd(56, ' ');
  assert.equal(bytes.toString('hex'), `3800000000000000${Buffer.from(header).toString('hex')}0000803f000000c0`);
});

test('tensors are not copied on the way out', () => {
  const data = new Float32Array(new SharedArrayBuffer(16));
  const [, chunk] = encodeSafetensors([{ name: 't', dtype: 'F32', shape: [4], data }], {});
  assert.equal(chunk.buffer, data.buffer);
});

test('entries that cannot be written are refused', () => {
  const entry = (name: string, shape: number[], size: number): SafetensorsEntry => ({
    name,
    dtype: 'F32',
    shape,
    data: new Float32Array(size),
  });
  for (const entries of [
    [entry('__metadata__', [1], 1)],
    [entry('a', [1], 1), entry('a', [1], 1)],
    [entry('a', [2], 1)],
    [entry('a', [-1, -1], 1)],
    [entry('\ud800', [1], 1)],
  ]) {
    assert.throws(() => encodeSafetensors(entries, {}), hasCode('E_SAFETENSORS_ENTRY'));
  }
});

const t = (begin: number, end: number, shape = `[${(end - begin) / 4}]`, dtype = 'F32'): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

const refused: [string, Uint8Array, string][] = [
  ['an empty file', new Uint8Array(0), 'E_SAFETENSORS_HEADER'],
  ['a file shorter than the length field', new Uint8Array(7), 'E_SAFETENSORS_HEADER'],
  [
    'a header beyond the limit',
    Buffer.from([...new Uint8Array(new BigUint64Array([BigInt(MAX_HEADER_BYTES) + 1n]).buffer)]),
    'E_SAFETENSORS_HEADER',
  ],
  ['a header beyond the file', file('{}', 0).subarray(0, 9), 'E_SAFETENSORS_HEADER'],
  ['a header that is not JSON', file('{"a":', 0), 'E_SAFETENSORS_HEADER'],
  [
    'a header that is not UTF-8',
    Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0x7b, 0xff, 0xfe, 0x7d])]),
    'E_SAFETENSORS_HEADER',
  ],
  ['a header that begins with a space', file(' {}', 0), 'E_SAFETENSORS_HEADER'],
  ['a header that is an array', file('[]', 0), 'E_SAFETENSORS_HEADER'],
  ['an unknown field', file('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}}', 4), 'E_SAFETENSORS_HEADER'],
  ['a missing field', file('{"a":{"dtype":"F32","shape":[]}}', 0), 'E_SAFETENSORS_HEADER'],
  ['a negative extent', file(`{"a":${t(0, 4, '[-1]')}}`, 4), 'E_SAFETENSORS_HEADER'],
  [
    'a fractional offset',
    file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0.5,4.5]}}', 4),
    'E_SAFETENSORS_HEADER',
  ],
  ['metadata that is not strings', file('{"__metadata__":{"a":1}}', 0), 'E_SAFETENSORS_HEADER'],
  ['an unknown dtype', file(`{"a":${t(0, 4, '[2]', 'F16')}}`, 4), 'E_SAFETENSORS_DTYPE'],
  ['a tensor named twice', file(`{"a":${t(0, 4)},"a":${t(4, 8)}}`, 8), 'E_SAFETENSORS_DUPLICATE'],
  [
    'a tensor named twice, once with an escape',
    file(`{"a":${t(0, 4)},"\\u0061":${t(4, 8)}}`, 8),
    'E_SAFETENSORS_DUPLICATE',
  ],
  ['metadata with a key twice', file('{"__metadata__":{"k":"1","k":"2"}}', 0), 'E_SAFETENSORS_DUPLICATE'],
  ['a shape that contradicts the offsets', file(`{"a":${t(0, 8, '[1]')}}`, 8), 'E_SAFETENSORS_LAYOUT'],
  ['an end before the begin', file(`{"a":${t(8, 4, '[1]')}}`, 8), 'E_SAFETENSORS_LAYOUT'],
  ['overlapping tensors', file(`{"a":${t(0, 8)},"b":${t(4, 12)}}`, 12), 'E_SAFETENSORS_LAYOUT'],
  ['a hole between tensors', file(`{"a":${t(0, 4)},"b":${t(8, 12)}}`, 12), 'E_SAFETENSORS_LAYOUT'],
  ['a hole before the first tensor', file(`{"a":${t(4, 8)}}`, 8), 'E_SAFETENSORS_LAYOUT'],
  ['a tensor beyond the file', file(`{"a":${t(0, 8)}}`, 4), 'E_SAFETENSORS_LAYOUT'],
  ['bytes after the last tensor', file(`{"a":${t(0, 4)}}`, 8), 'E_SAFETENSORS_LAYOUT'],
];
for (const [what, bytes, code] of refused) {
  test(`${what} is refused with ${code}`, () => assert.throws(() => decodeSafetensors(bytes), hasCode(code)));
}

test('the same key in two different tensors is no duplicate, nor is one inside a string', () => {
  const decoded = decodeSafetensors(file(`{"a":${t(0, 4)},"b\\",\\"a\\":":${t(4, 8)}}`, 8));
  assert.deepEqual([...decoded.tensors.keys()], ['a', 'b","a":']);
});

test('any cut of a file is refused', () => {
  const whole = Buffer.concat(
    encodeSafetensors([{ name: 't', dtype: 'F32', shape: [3], data: new Float32Array(3) }], { step: '7' }),
  );
  for (let length = 0; length < whole.length; length += 1) {
    assert.throws(() => decodeSafetensors(whole.subarray(0, length)), CheckpointError, `cut to ${length}`);
  }
});
