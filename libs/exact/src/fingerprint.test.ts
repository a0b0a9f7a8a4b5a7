import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ARITHMETICS, BLOCK, type Arithmetic } from '@lockstep/base';
import fc from 'fast-check';
import { fingerprintChecksum, fingerprintDigest, fingerprintOf, FINGERPRINT_SUMS } from '#src/fingerprint.js';

const floats = (words: readonly number[]): Float32Array => new Float32Array(Uint32Array.from(words).buffer);
const words = fc.array(fc.integer({ min: 0, max: 0xffff_ffff }), { minLength: 1, maxLength: 200 });

const mixed = (h: bigint, word: bigint): bigint => {
  const product = ((h ^ word) * 0x9e3779b1n) % 2n ** 32n;
  return ((product << 13n) | (product >> 19n)) % 2n ** 32n;
};

/** By the definition, in exact integers. */
function expectedOf(given: readonly number[], arithmetic: Arithmetic): bigint[] {
  const length = arithmetic === 1 ? Infinity : BLOCK;
  const zeros = (): bigint[] => Array<bigint>(FINGERPRINT_SUMS).fill(0n);
  const blocks: bigint[][] = [];
  given.forEach((word, i) => {
    const sums = (blocks[Math.floor(i / length)] ??= zeros());
    sums[i % FINGERPRINT_SUMS] = mixed(sums[i % FINGERPRINT_SUMS], BigInt(word));
  });
  if (arithmetic === 1) return blocks[0] ?? zeros();
  return blocks.reduce((total, sums) => total.map((h, j) => mixed(h, sums[j])), zeros());
}

/** Neither zero nor alike, and far from each other. */
const drawn = (length: number): number[] => Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e37_79b1) >>> 0);

test('each sum is what exact integers give', () => {
  for (const arithmetic of ARITHMETICS) {
    fc.assert(
      fc.property(words, (given) => {
        assert.deepEqual([...fingerprintOf(floats(given), arithmetic)].map(BigInt), expectedOf(given, arithmetic));
      }),
    );
    for (const length of [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 33])
      assert.deepEqual(
        [...fingerprintOf(floats(drawn(length)), arithmetic)].map(BigInt),
        expectedOf(drawn(length), arithmetic),
        `${length} numbers, arithmetic ${arithmetic}`,
      );
  }
});

/** Digests as they were when each arithmetic came: those of runs on disk. */
const GOLDENS: Readonly<Record<number, readonly [string, string]>> = {
  1000: [
    '388e8a7d305ab682b5957fcb2cb1a1e97174fc3541d4411bbb8c09f41d7b6376',
    '2955ef4699a1b2487179f7e77f0f2764a69eb668b1876419b44f2df9b46e2f60',
  ],
  65535: [
    'e780ea17c87aa0ce781bbf1ddce76f53bc210f2246574ea47da5dcd5e395bf05',
    'ed56db78ee8699d2a9fc64210000f1a441a7a345cc4a8833475aeb869022e435',
  ],
  65536: [
    '2049c557e0c83bc3d919e0b4184e217a4bb2c6ee677533a6d3bbe5e3368f2450',
    'a18bcf1fb62ff9f70a3289b76ec2aa7c16fb27172aac54412c1541d5423bb71b',
  ],
  65537: [
    'cc06254c647183f1aee97b9203df5a138f039bfd566f91ac42baf00a3b8b3874',
    '9d2f3e2549840d6cd9c4748acc4f052f03ce7d185480636c5c58e82ea2759a29',
  ],
  196608: [
    '1d06394057d9d2af8cab34060011f3734193ab1a4ab35029d492b7cc60957858',
    '3b249e73c273edfd612f644e4fc611f5a6ae0e4b76cc5c33aee326014a8770cb',
  ],
};

test('digests are those of the runs that there are', () => {
  for (const [length, digests] of Object.entries(GOLDENS))
    assert.deepEqual(
      ARITHMETICS.map((arithmetic) => fingerprintDigest(fingerprintOf(floats(drawn(Number(length))), arithmetic))),
      digests,
      `${length} numbers`,
    );
});

test('in arithmetic 2 blocks that change places change the digest', () => {
  const numbers = drawn(2 * BLOCK);
  const swapped = [...numbers.slice(BLOCK), ...numbers.slice(0, BLOCK)];
  assert.notDeepEqual(fingerprintOf(floats(swapped), 2), fingerprintOf(floats(numbers), 2));
});

test('one flipped bit anywhere changes exactly one sum, and so the checksum and the digest', () => {
  const flipped = (given: readonly number[], at: number, bit: number, arithmetic: Arithmetic): void => {
    const before = fingerprintOf(floats(given), arithmetic);
    const after = fingerprintOf(
      floats(given.map((word, i) => (i === at ? (word ^ (1 << bit)) >>> 0 : word))),
      arithmetic,
    );
    assert.deepEqual(
      [...after.keys()].filter((j) => after[j] !== before[j]),
      [at % FINGERPRINT_SUMS],
    );
    assert.notEqual(fingerprintChecksum(after), fingerprintChecksum(before));
    assert.notEqual(fingerprintDigest(after), fingerprintDigest(before));
  };
  for (const arithmetic of ARITHMETICS) {
    fc.assert(
      fc.property(words, fc.nat(), fc.integer({ min: 0, max: 31 }), (given, place, bit) =>
        flipped(given, place % given.length, bit, arithmetic),
      ),
    );
    for (const at of [0, BLOCK - 1, BLOCK, 2 * BLOCK + 6]) flipped(drawn(2 * BLOCK + 7), at, 31, arithmetic);
  }
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
    assert.notEqual(fingerprintDigest(fingerprintOf(other, 2)), fingerprintDigest(fingerprintOf(one, 2)));
  }
});

test('the digest is sha256 of the sums as little-endian words, and no numbers have sums of zero', () => {
  const print = fingerprintOf(new Float32Array(0), 2);
  assert.deepEqual([...print], Array(FINGERPRINT_SUMS).fill(0));
  assert.deepEqual(fingerprintOf(new Float32Array(0), 1), print);
  assert.equal(
    fingerprintDigest(print),
    createHash('sha256')
      .update(Buffer.alloc(4 * FINGERPRINT_SUMS))
      .digest('hex'),
  );
});

test('two changed signs do not cancel, wherever they are', () => {
  const numbers = new Float32Array(256).map((_, i) => Math.fround(Math.sin(i + 1)));
  const expected = fingerprintDigest(fingerprintOf(numbers, 2));
  for (let first = 0; first < numbers.length; first += 7)
    for (let second = first + 1; second < numbers.length; second++) {
      const changed = Float32Array.from(numbers);
      changed[first] = -changed[first];
      changed[second] = -changed[second];
      assert.notEqual(fingerprintDigest(fingerprintOf(changed, 2)), expected);
    }
});
