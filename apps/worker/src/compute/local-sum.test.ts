import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { setImmediate as otherWork } from 'node:timers/promises';
import { cacheDirectoryIn } from '@lockstep/config';
import { stateDigest } from '@lockstep/run';
import { addFixedPoint, maxExponents, tensorExponents } from '@lockstep/exact';
import { engineDirectory } from '@lockstep/engine';
import { initialState, parameterCount } from '@lockstep/task';
import { allocateArena, copyState, openArena, type Arena, type ArenaBuffers } from '#src/compute/arena.js';
import { bucketsIn, bucketsOf, type Bucket, type Part } from '#src/compute/buckets.js';
import { sumFormOf } from '#src/compute/exact-sum.js';
import { PortablePasses } from '#src/compute/portable-passes.js';
import { tinySettings, tinyTask } from './run.fixture.js';
import { passesFor } from '#src/compute/native-passes.js';
import { LocalSum, type StoredBucket } from '#src/compute/local-sum.js';

const settings = tinySettings();
const task = tinyTask();
const { table } = task;
const P = parameterCount(table);
const form = sumFormOf(settings, task);
const portable = new PortablePasses(table, form, settings.arithmetic);
const buckets = bucketsOf(task);
const { early, late } = buckets;
const checksumOf = (values: Float32Array): number => portable.checksum(values);

let buffers: ArenaBuffers;
let arena: Arena;
let localSum: LocalSum;

beforeEach(() => {
  buffers = allocateArena(P);
  arena = openArena(buffers);
  copyState(initialState(task, settings.seed), arena.state);
  // What an earlier step left must not enter the sum.
  arena.sum.fill(123);
  localSum = new LocalSum(
    arena,
    passesFor(table, form, settings.arithmetic, engineDirectory('cpu', cacheDirectoryIn(process.env))),
    otherWork,
  );
});

/** A gradient, and what is known of each of its buckets. */
function stored(microbatch: number): {
  values: Float32Array;
  buffer: SharedArrayBuffer;
  of: Map<Bucket, StoredBucket>;
} {
  const buffer = new SharedArrayBuffer(4 * P);
  const values = new Float32Array(buffer);
  for (let i = 0; i < P; i++) values[i] = Math.sin(i * (microbatch + 1)) / (1 + (i % 97));
  const of = new Map(
    [early, late].map((bucket) => {
      return [bucket, { microbatch, buffer, marks: portable.describe(bucket, values) }];
    }),
  );
  return { values, buffer, of };
}

const exponents = [0, 1].map((i) => tensorExponents(stored(i).values, table, form)).reduce(maxExponents);
const atRest = (step: number) => ({ step, weights: checksumOf(arena.state.weights) });

/** Folds a part bucket by bucket, until something is wrong. */
async function fold(
  part: Part,
  gradients: readonly ReturnType<typeof stored>[],
  agreed = exponents,
): Promise<string | null> {
  const state = atRest(0);
  for (const bucket of bucketsIn(buckets, part)) {
    const summands = gradients.flatMap(({ of }) => of.get(bucket) ?? []);
    const own = agreed.slice(bucket.tensor, bucket.tensor + bucket.table.length);
    const what = await localSum.fold(state, bucket, summands, [...own]);
    if (what !== null) return what;
  }
  return null;
}

test('the fold is the integer sum of the gradients, whatever the arena held before, at once or bucket by bucket', async () => {
  const both = [stored(0), stored(1)];
  const expected = new Int32Array(P);
  for (const { values } of both) addFixedPoint(expected, values, table, exponents, form);
  assert.ok(expected.some((value) => value !== 0));
  assert.equal(await fold('whole', both), null);
  assert.deepEqual(arena.sum, expected);
  arena.sum.fill(123);
  assert.equal(await fold('early', both), null);
  assert.deepEqual(arena.sum.subarray(early.from, early.to), expected.subarray(early.from, early.to));
  assert.ok(arena.sum.subarray(late.from, late.to).every((value) => value === 123));
  assert.equal(await fold('late', both), null);
  assert.deepEqual(arena.sum, expected);
});

test('a worker that contributes nothing adds zeros', async () => {
  assert.equal(await fold('whole', []), null);
  assert.ok(arena.sum.every((value) => value === 0));
});

test('one flipped bit in the weights is found before the sum, and the state is named', async () => {
  const state = atRest(0);
  new Uint8Array(buffers.state)[4 * 77 + 1] ^= 4;
  const summands = [...stored(0).of.values()].slice(0, 1);
  const what = await localSum.fold(state, early, summands, [...exponents.slice(early.tensor)]);
  assert.match(what ?? '', /^the weights of state 0 changed in memory \([0-9a-f]{8} when made, [0-9a-f]{8} now\)/);
  assert.ok(
    arena.sum.every((value) => value === 123),
    'nothing was summed',
  );
});

test('one flipped bit in a gradient is found before the sum is used, and the microbatch is named', async () => {
  for (const [part, byte] of [
    ['early', 4 * P - 1],
    ['late', 0],
  ] as const) {
    const both = [stored(0), stored(1)];
    new Uint8Array(both[1].buffer)[byte] ^= 1;
    assert.match((await fold(part, both)) ?? '', /^the gradient of microbatch 1 of step 0 changed/);
    assert.equal(await fold(part === 'early' ? 'late' : 'early', both), null, 'the other bucket is whole');
  }
});

test('a sum that cannot be exact is refused', async () => {
  const low = exponents.map((exponent) => exponent - 1);
  await assert.rejects(fold('whole', [stored(0)], low), { code: 'E_FIXEDPOINT_EXCEEDS' });
});

test('the marks are the digest of the state, and the checksum that its weights are checked against later', () => {
  const digest = stateDigest(arena.state, settings.arithmetic);
  assert.deepEqual(localSum.mark(), { digest, weights: checksumOf(arena.state.weights) });
});

test('a check finds one flipped bit in the weights, and nothing where there is none', () => {
  const state = atRest(2);
  assert.equal(localSum.check(state), null);
  new Uint8Array(buffers.state)[2] ^= 128;
  assert.match(localSum.check(state) ?? '', /^the weights of state 2 changed/);
});
