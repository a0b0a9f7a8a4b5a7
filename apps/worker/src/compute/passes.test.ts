import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ARITHMETICS, BLOCK } from '@lockstep/base';
import fc from 'fast-check';
import { cacheDirectoryIn } from '@lockstep/config';
import {
  fingerprintOf,
  FINGERPRINT_SUMS,
  NON_FINITE,
  tensorExponents,
  WIRES,
  ZERO_TENSOR,
  type ParameterSpan,
} from '@lockstep/exact';
import { stateDigest } from '@lockstep/run';
import type { AdamStep } from '@lockstep/task';
import { engineDirectory, loadPasses, RUNNING_SUMS } from '@lockstep/engine';
import { allocateArena, openArena, snapshotOf, type Arena } from '#src/compute/arena.js';
import { cut, type Bucket } from '#src/compute/buckets.js';
import { agreedExponents, summandOf, sumGradients, type Summand } from '#src/compute/exact-sum.js';
import { FastPasses } from '#src/compute/native-passes.js';
import type { Passes } from '#src/compute/passes.js';
import { PortablePasses } from '#src/compute/portable-passes.js';

/** Beyond two blocks of the native code, not a multiple of anything, with tensors that end inside a block and one without elements. */
const SIZES = [1, 700, 0, 33, 1500, 266];
const P = 2500;
const MICROBATCHES = 3;
const tableOf = (sizes: readonly number[]): ParameterSpan[] =>
  sizes.map((size, t) => ({
    name: `t${t}`,
    size,
    offset: sizes.slice(0, t).reduce((sum, each) => sum + each, 0),
  }));
const table = tableOf(SIZES);

/** One that ends in the middle of a block, at no multiple of the fingerprint's sums. */
const { early, late } = cut(table, 4);
const all = cut(table, 0).early;
const buckets = [early, late, all];

const native = loadPasses(engineDirectory('cpu', cacheDirectoryIn(process.env)));
const options = native === null ? { skip: 'this processor does not run the native passes' } : {};

/** Numbers of many magnitudes and both signs, with zeros of both signs and denormals; of P of them the fourth tensor is all zero. */
function gradient(seed: number, length = P): Float32Array {
  const values = Float32Array.from({ length }, (_, i) => {
    const x = Math.sin(seed + i * 12.9898) * 43_758.5453;
    return i % 11 === 0 ? -0 : i % 13 === 0 ? 1e-42 * x : (x - Math.floor(x) - 0.5) * 2 ** ((i % 40) - 30);
  });
  return length === P ? values.fill(0, table[3].offset, table[4].offset) : values;
}

function arenaOf(seed: number, length = P): Arena {
  const arena = openArena(allocateArena(length));
  arena.state.weights.set(gradient(seed, length));
  arena.state.expAvg.set(gradient(seed + 1, length));
  arena.state.expAvgSq.set(gradient(seed + 2, length).map(Math.abs));
  arena.state.ema.set(gradient(seed + 3, length));
  return arena;
}

/** Folds to the end. */
function fold(
  passes: Passes,
  bucket: Bucket,
  sum: Int32Array,
  gradients: readonly Summand[],
  exponents: Int16Array,
): number[] {
  const [first, end] = [bucket.tensor, bucket.tensor + bucket.table.length];
  const parts = gradients.map(({ values, exponents: own }) => ({ values, exponents: own.slice(first, end) }));
  const pieces = passes.fold(bucket, sum, parts, exponents.slice(first, end));
  for (;;) {
    const next = pieces.next();
    if (next.done === true) return next.value;
  }
}

const adamOf = (norm: number): AdamStep => ({
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.99,
  eps: 1e-8,
  step: 6,
  clipScale: norm > 1 ? 1 / norm : 1,
  emaDecay: 0.97,
});

test('a sum that is cut into pieces is the same wherever it is cut, and so are its fingerprints', options, () => {
  assert.ok(native !== null);
  const length = 2 * BLOCK + 70;
  const long = tableOf([1, BLOCK - 20, 700, BLOCK - 611]);
  const gradients = [gradient(1, length), gradient(2, length)];
  const scales = Float64Array.from(long, (_, t) => 2 ** t);
  const ends = Int32Array.from(long, ({ offset, size }) => offset + size);
  for (const arithmetic of ARITHMETICS) {
    const run = (cuts: readonly number[]): { sum: Int32Array; prints: Uint32Array[] } => {
      const [sum, running] = [new Int32Array(length), new Uint32Array(2 * RUNNING_SUMS)];
      [...cuts, length].forEach((to, i, all) =>
        native.fold(sum, gradients, ends, scales, arithmetic, running, all[i - 1] ?? 0, to),
      );
      const prints = gradients.map((_, k) => running.slice(k * RUNNING_SUMS, k * RUNNING_SUMS + FINGERPRINT_SUMS));
      return { sum, prints };
    };
    const whole = run([]);
    assert.deepEqual(
      whole.prints,
      gradients.map((values) => fingerprintOf(values, arithmetic)),
    );
    assert.deepEqual(run([32, 704, BLOCK - 32, BLOCK, BLOCK + 32, 2 * BLOCK, 2 * BLOCK + 64]), whole);
    const cut = fc.integer({ min: 1, max: Math.floor(length / 32) }).map((words) => 32 * words);
    fc.assert(
      fc.property(fc.uniqueArray(cut, { maxLength: 5 }), (cuts) => {
        assert.deepEqual(run(cuts.sort((a, b) => a - b)), whole);
      }),
      { numRuns: 20 },
    );
  }
});

for (const arithmetic of ARITHMETICS) {
  const form = { wire: 'int32', microbatches: MICROBATCHES } as const;
  for (const length of [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
    test(`${length} numbers have the same bits in native code (arithmetic ${arithmetic})`, options, () => {
      assert.ok(native !== null);
      const long = tableOf([700, length - 733, 33]);
      const whole = cut(long, 0).early;
      const [portable, fast] = [
        new PortablePasses(long, form, arithmetic),
        new FastPasses(native, long, form, arithmetic),
      ];
      const gradients = [5, 6].map((seed) => summandOf(gradient(seed, length), long, form));
      const exponents = agreedExponents(gradients, long);
      for (const { values } of gradients) {
        assert.equal(fast.checksum(values), portable.checksum(values));
        assert.deepEqual(fast.describe(whole, values), portable.describe(whole, values));
      }
      const [one, two] = [arenaOf(7, length), arenaOf(7, length)];
      assert.deepEqual(
        fold(fast, whole, one.sum, gradients, exponents),
        fold(portable, whole, two.sum, gradients, exponents),
      );
      assert.deepEqual(one.sum, two.sum);
      const norms: number[] = [];
      const watched = (norm: number): AdamStep => {
        norms.push(norm);
        return adamOf(norm);
      };
      const before = portable.marks(one);
      const result = fast.update(one, exponents, watched);
      assert.deepEqual(result, portable.update(two, exponents, watched));
      assert.equal(norms[0], norms[1]);
      assert.deepEqual(snapshotOf(one.state), snapshotOf(two.state));
      assert.deepEqual([result.found, result.left], [before.digest, fast.marks(two)]);
      assert.equal(result.left.digest, stateDigest(two.state, arithmetic));
    });
}

const cases = WIRES.flatMap((wire) => ARITHMETICS.map((arithmetic) => [wire, arithmetic] as const));
for (const [wire, arithmetic] of cases) {
  const form = { wire, microbatches: MICROBATCHES };
  const name = `${wire}, arithmetic ${arithmetic}`;
  const portable = new PortablePasses(table, form, arithmetic);
  const fast = native === null ? portable : new FastPasses(native, table, form, arithmetic);

  test(`a gradient has the same exponents and checksum in native code (${name})`, options, () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(2 ** 13), (seed, below) => {
        const values = gradient(seed);
        // Just below a power of two, where it matters to int16 to which side it is rounded.
        values[5] = (1 - below * 2 ** -24) * 2 ** 12;
        for (const bucket of buckets)
          assert.deepEqual(fast.describe(bucket, values), portable.describe(bucket, values));
        const exponents = [late, early].flatMap((bucket) => [...portable.describe(bucket, values).exponents]);
        assert.deepEqual(exponents, [...tensorExponents(values, table, form)]);
      }),
      { numRuns: 40 },
    );
  });

  test(`a gradient that is not finite says so in native code as well (${name})`, options, () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const values = gradient(1);
      values[P - 1] = bad;
      assert.deepEqual(fast.describe(early, values), portable.describe(early, values));
      assert.equal(fast.describe(early, values).exponents[1], NON_FINITE);
      assert.ok(!fast.describe(late, values).exponents.includes(NON_FINITE));
    }
  });

  test(`the sum of none to three gradients is the same in native code, and their checksums (${name})`, options, () => {
    for (let count = 0; count <= MICROBATCHES; count++) {
      const gradients = Array.from({ length: count }, (_, i) => summandOf(gradient(i), table, form));
      const exponents = agreedExponents([...gradients, summandOf(gradient(9), table, form)], table);
      assert.equal(exponents[3], ZERO_TENSOR);
      const [one, two, whole] = [7, 8, 9].map((value) => new Int32Array(P).fill(value));
      for (const bucket of [early, late]) {
        assert.deepEqual(
          fold(fast, bucket, one, gradients, exponents),
          fold(portable, bucket, two, gradients, exponents),
        );
        assert.ok(bucket === late || one.subarray(late.from, late.to).every((value) => value === 7), 'only its own');
      }
      sumGradients(whole, gradients, table, exponents, form);
      assert.deepEqual([one, two], [whole, whole]);
    }
  });

  test(`a gradient above the agreed exponents is refused before anything is summed (${name})`, options, () => {
    const large = summandOf(gradient(1), table, form);
    for (const passes of [fast, portable]) {
      const sum = new Int32Array(P).fill(7);
      const exponents = large.exponents.map((exponent) => (exponent === ZERO_TENSOR ? exponent : exponent - 1));
      assert.throws(() => fold(passes, early, sum, [large], exponents), { code: 'E_FIXEDPOINT_EXCEEDS' });
      assert.ok(sum.every((value) => value === 7));
    }
  });

  test(`an update finds and leaves the same bits in native code, clipped or not (${name})`, options, () => {
    for (const seed of [0, 20, 40]) {
      const gradients = [summandOf(gradient(seed + 5), table, form), summandOf(gradient(seed + 6), table, form)];
      const exponents = agreedExponents(gradients, table);
      const [one, two] = [arenaOf(seed), arenaOf(seed)];
      const before = portable.marks(one);
      for (const arena of [one, two]) fold(portable, all, arena.sum, gradients, exponents);
      const norms: number[] = [];
      const watched = (norm: number): AdamStep => {
        norms.push(norm);
        return { ...adamOf(norm), clipScale: seed === 20 ? 1 : 0.5 / norm };
      };
      const result = fast.update(one, exponents, watched);
      assert.deepEqual(result, portable.update(two, exponents, watched));
      assert.equal(norms[0], norms[1]);
      assert.deepEqual(snapshotOf(one.state), snapshotOf(two.state));
      assert.equal(result.found, before.digest);
      assert.deepEqual(result.left, portable.marks(one));
      assert.deepEqual(result.left, fast.marks(two));
      assert.notEqual(result.left.digest, before.digest);
    }
  });

  test(`a bit that flipped in the state before an update shows in what it found (${name})`, options, () => {
    const exponents = agreedExponents([summandOf(gradient(5), table, form)], table);
    for (const passes of [fast, portable]) {
      const arena = arenaOf(1);
      fold(passes, all, arena.sum, [summandOf(gradient(5), table, form)], exponents);
      const { digest } = passes.marks(arena);
      new Uint32Array(arena.state.expAvg.buffer, arena.state.expAvg.byteOffset)[P - 1] ^= 1;
      assert.notEqual(passes.update(arena, exponents, adamOf).found, digest);
    }
  });
}
