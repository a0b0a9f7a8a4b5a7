import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { fingerprintChecksum, fingerprintDigest, fingerprintOf, FINGERPRINT_SUMS } from './fingerprint.js';

const floats = (words: readonly number[]): Float32Array => new Float32Array(Uint32Array.from(words).buffer);
const words = fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { minLength: 1, maxLength: 200 });

test('each sum is the polynomial of its numbers, in exact integers', () => {
  fc.assert(
    fc.property(words, (given) => {
      const expected = Array<bigint>(FINGERPRINT_SUMS).fill(0n);
      given.forEach((word, i) => {
        const j = i % FINGERPRINT_SUMS;
        expected[j] = ((expected[j] ?? 0n) * 0x9e3779b1n + BigInt(word)) % 2n ** 32n;
      });
      assert.deepEqual([...fingerprintOf(floats(given))].map(BigInt), expected);
    }),
  );
});

test('one flipped bit anywhere changes exactly one sum, and so the checksum and the digest', () => {
  fc.assert(
    fc.property(words, fc.nat(), fc.integer({ min: 0, max: 31 }), (given, place, bit) => {
      const at = place % given.length;
      const before = fingerprintOf(floats(given));
      const after = fingerprintOf(floats(given.map((word, i) => (i === at ? (word ^ (1 << bit)) >>> 0 : word))));
      assert.deepEqual(
        [...after.keys()].filter((j) => after[j] !== before[j]),
        [at % FINGERPRINT_SUMS],
      );
      assert.notEqual(fingerprintChecksum(after), fingerprintChecksum(before));
      assert.notEqual(fingerprintDigest(after), fingerprintDigest(before));
    }),
  );
});

test('numbers that change places change the digest', () => {
  const one = floats([...Array(96).keys()]);
  for (const [a, b] of [
    [3, 4],
    [3, 35],
    [3, 67],
  ]) {
    const other = one.slice();
    [other[a], other[b]] = [one[b], one[a]];
    assert.notEqual(fingerprintDigest(fingerprintOf(other)), fingerprintDigest(fingerprintOf(one)));
  }
});

test('the digest is sha256 of the sums as little-endian words, and no numbers have sums of zero', () => {
  const print = fingerprintOf(new Float32Array(0));
  assert.deepEqual([...print], Array(FINGERPRINT_SUMS).fill(0));
  assert.equal(
    fingerprintDigest(print),
    createHash('sha256')
      .update(Buffer.alloc(4 * FINGERPRINT_SUMS))
      .digest('hex'),
  );
});
