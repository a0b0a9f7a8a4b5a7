import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cacheDirectoryIn } from '@lockstep/config';
import { NON_FINITE, tensorExponents, WIRES, ZERO_TENSOR } from '@lockstep/exact';
import type { AdamStep } from '@lockstep/task';
import { engineDirectory, loadPasses } from '@lockstep/engine';
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
const table = SIZES.map((size, t) => ({
  name: `t${t}`,
  size,
  offset: SIZES.slice(0, t).reduce((sum, each) => sum + each, 0),
}));

/** One that ends in the middle of a block, at no multiple of the fingerprint's sums. */
const { early, late } = cut(table, 4);
const all = cut(table, 0).early;
const buckets = [early, late, all];

const native = loadPasses(engineDirectory('cpu', cacheDirectoryIn(process.env)));
const options = native === null ? { skip: 'this processor does not run the native passes' } : {};

/** Numbers of many magnitudes and both signs, with zeros of both signs and denormals; the fourth tensor is all zero. */
function gradient(seed: number): Float32Array {
  const values = Float32Array.from({ length: P }, (_, i) => {
    const x = Math.sin(seed + i * 12.9898) * 43_758.5453;
    return i % 11 === 0 ? -0 : i % 13 === 0 ? 1e-42 * x : (x - Math.floor(x) - 0.5) * 2 ** ((i % 40) - 30);
  });
  return values.fill(0, table[3].offset, table[4].offset);
}

function arenaOf(seed: number): Arena {
  const arena = openArena(allocateArena(P));
  arena.state.weights.set(gradient(seed));
  arena.state.expAvg.set(gradient(seed + 1));
  arena.state.expAvgSq.set(gradient(seed + 2).map(Math.abs));
  arena.state.ema.set(gradient(seed + 3));
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

test('a sum that is cut into pieces is the same, and so are its checksums', options, () => {
  assert.ok(native !== null);
  const gradients = [gradient(1), gradient(2)];
  const scales = Float64Array.from(table, (_, t) => 2 ** t);
  const ends = Int32Array.from(table, ({ offset, size }) => offset + size);
  const run = (...cuts: number[]): { sum: Int32Array; sums: Uint32Array } => {
    const [sum, sums] = [new Int32Array(P), new Uint32Array(64)];
    [...cuts, P].forEach((to, i, all) => native.fold(sum, gradients, ends, scales, sums, all[i - 1] ?? 0, to));
    return { sum, sums };
  };
  assert.deepEqual(run(32, 704, 736, 2496), run());
});

for (const wire of WIRES) {
  const form = { wire, microbatches: MICROBATCHES };
  const portable = new PortablePasses(table, form);
  const fast = native === null ? portable : new FastPasses(native, table, form);

  test(`a gradient has the same exponents and checksum in native code (${wire})`, options, () => {
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

  test(`a gradient that is not finite says so in native code as well (${wire})`, options, () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const values = gradient(1);
      values[P - 1] = bad;
      assert.deepEqual(fast.describe(early, values), portable.describe(early, values));
      assert.equal(fast.describe(early, values).exponents[1], NON_FINITE);
      assert.ok(!fast.describe(late, values).exponents.includes(NON_FINITE));
    }
  });

  test(`the sum of none to three gradients is the same in native code, and their checksums (${wire})`, options, () => {
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

  test(`a gradient above the agreed exponents is refused before anything is summed (${wire})`, options, () => {
    const large = summandOf(gradient(1), table, form);
    for (const passes of [fast, portable]) {
      const sum = new Int32Array(P).fill(7);
      const exponents = large.exponents.map((exponent) => (exponent === ZERO_TENSOR ? exponent : exponent - 1));
      assert.throws(() => fold(passes, early, sum, [large], exponents), { code: 'E_FIXEDPOINT_EXCEEDS' });
      assert.ok(sum.every((value) => value === 7));
    }
  });

  test(`an update finds and leaves the same bits in native code, clipped or not (${wire})`, options, () => {
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

  test(`a bit that flipped in the state before an update shows in what it found (${wire})`, options, () => {
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
