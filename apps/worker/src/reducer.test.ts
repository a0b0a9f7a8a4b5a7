import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { stateDigest } from '@lockstep/checkpoint';
import { addFixedPoint, maxExponents, tensorExponents } from '@lockstep/comm';
import { initialTrainingState, parameterCount, parameterTable, parseRecipe } from '@lockstep/diffusion';
import { engineDirectory } from '@lockstep/engine';
import { allocateArena, copyState, openArena, type Arena, type ArenaBuffers } from './arena.js';
import { PortablePasses } from './portable-passes.js';
import { tinySettings } from './fixture-run.js';
import { passesFor } from './native-passes.js';
import { Reducer, type StoredGradient } from './reducer.js';

const settings = tinySettings();
const recipe = parseRecipe(settings.recipe);
const table = parameterTable(recipe.model);
const P = parameterCount(table);
const portable = new PortablePasses(table, recipe.globalBatch / recipe.microbatchSize);
const checksumOf = (values: Float32Array): number => portable.checksum(values);

let buffers: ArenaBuffers;
let arena: Arena;
let reducer: Reducer;

beforeEach(() => {
  buffers = allocateArena(P);
  arena = openArena(buffers);
  copyState(initialTrainingState(recipe, settings.seed), arena.state);
  // What an earlier step left must not enter the sum.
  arena.sum.fill(123);
  reducer = new Reducer(arena, passesFor(settings, engineDirectory('cpu', process.env)));
});

function stored(microbatch: number): { values: Float32Array; gradient: StoredGradient } {
  const buffer = new SharedArrayBuffer(4 * P);
  const values = new Float32Array(buffer);
  for (let i = 0; i < P; i++) values[i] = Math.sin(i * (microbatch + 1)) / (1 + (i % 97));
  const exponents = [...tensorExponents(values, table)];
  return { values, gradient: { microbatch, buffer, checksum: checksumOf(values), exponents } };
}

const exponents = [0, 1].map((i) => tensorExponents(stored(i).values, table)).reduce(maxExponents);
const atRest = (step: number) => ({ step, weights: checksumOf(arena.state.weights) });
const fold = (...gradients: readonly StoredGradient[]): Promise<string | null> =>
  reducer.fold(atRest(0), gradients, [...exponents]);

test('the fold is the integer sum of the gradients, whatever the arena held before', async () => {
  const both = [stored(0), stored(1)];
  assert.equal(await fold(...both.map(({ gradient }) => gradient)), null);
  const expected = new Int32Array(P);
  for (const { values } of both) addFixedPoint(expected, values, table, exponents, 2);
  assert.deepEqual(arena.sum, expected);
  assert.ok(expected.some((value) => value !== 0));
});

test('a worker that contributes nothing adds zeros', async () => {
  assert.equal(await fold(), null);
  assert.ok(arena.sum.every((value) => value === 0));
});

test('one flipped bit in the weights is found before the sum, and the state is named', async () => {
  const state = atRest(0);
  new Uint8Array(buffers.state)[4 * 77 + 1] ^= 4;
  const what = await reducer.fold(state, [stored(0).gradient], [...exponents]);
  assert.match(what ?? '', /^the weights of state 0 changed in memory \([0-9a-f]{8} when made, [0-9a-f]{8} now\)/);
  assert.ok(
    arena.sum.every((value) => value === 123),
    'nothing was summed',
  );
});

test('one flipped bit in a gradient is found before the sum is used, and the microbatch is named', async () => {
  const both = [stored(0).gradient, stored(1).gradient];
  new Uint8Array(both[1].buffer)[4 * P - 1] ^= 1;
  assert.match((await fold(...both)) ?? '', /^the gradient of microbatch 1 of step 0 changed/);
});

test('a sum that cannot be exact is refused', async () => {
  const low = [...exponents].map((exponent) => exponent - 1);
  await assert.rejects(reducer.fold(atRest(0), [stored(0).gradient], low), { code: 'E_FIXEDPOINT_EXCEEDS' });
});

test('the marks are the digest of the state, and the checksum that its weights are checked against later', () => {
  const digest = stateDigest({ step: 9, ...arena.state });
  assert.deepEqual(reducer.mark(), { digest, weights: checksumOf(arena.state.weights) });
});

test('a check finds one flipped bit in the weights, and nothing where there is none', () => {
  const state = atRest(2);
  assert.equal(reducer.check(state), null);
  new Uint8Array(buffers.state)[2] ^= 128;
  assert.match(reducer.check(state) ?? '', /^the weights of state 2 changed/);
});
