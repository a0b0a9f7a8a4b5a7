import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { fingerprintChecksum, fingerprintDigest, fingerprintOf, FINGERPRINT_SUMS } from '#src/fingerprint.js';

const floats = (words: readonly number[]): Float32Array => new Float32Array(Uint32Array.from(words).buffer);
const words = fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { minLength: 1, maxLength: 200 });

test('each sum is what exact integers give', () => {
  fc.assert(
    fc.property(words, (given) => {
      const expected = Array<bigint>(FINGERPRINT_SUMS).fill(0n);
      given.forEach((word, i) => {
        const j = i % FINGERPRINT_SUMS;
        const product = (((expected[j] ?? 0n) ^ BigInt(word)) * 0x9e3779b1n) % 2n ** 32n;
        expected[j] = ((product << 13n) | (product >> 19n)) % 2n ** 32n;
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

test('two changed signs do not cancel, wherever they are', () => {
  const numbers = new Float32Array(256).map((_, i) => Math.fround(Math.sin(i + 1)));
  const expected = fingerprintDigest(fingerprintOf(numbers));
  for (let first = 0; first < numbers.length; first += 7)
    for (let second = first + 1; second < numbers.length; second++) {
      const changed = Float32Array.from(numbers);
      changed[first] = -changed[first];
      changed[second] = -changed[second];
      assert.notEqual(fingerprintDigest(fingerprintOf(changed)), expected);
    }
});
