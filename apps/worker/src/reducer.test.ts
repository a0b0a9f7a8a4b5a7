import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { beforeEach, test } from 'node:test';
import { stateDigest } from '@lockstep/checkpoint';
import { addFixedPoint, maxExponents, tensorExponents } from '@lockstep/comm';
import { initialTrainingState, parameterCount, parameterTable, recipeOf } from '@lockstep/diffusion';
import { engineDirectory as engineFolder } from '@lockstep/engine';
import { allocateArena, copyState, openArena, type Arena, type ArenaBuffers } from './arena.js';
import { PortablePasses } from './portable-passes.js';
import { tinySettings } from './fixture-run.js';
import { startReducer, type ReducerReply, type ReducerRequest, type StoredGradient } from './reducer.js';
import { Reducer } from './reducer-service.js';

const settings = tinySettings();
const recipe = recipeOf(settings);
const table = parameterTable(recipe.model);
const P = parameterCount(table);
const engineDirectory = engineFolder('cpu', process.env);
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
  reducer = new Reducer({ settings, buffers, engineDirectory });
});

function stored(microbatch: number): { values: Float32Array; gradient: StoredGradient } {
  const buffer = new SharedArrayBuffer(4 * P);
  const values = new Float32Array(buffer);
  for (let i = 0; i < P; i++) values[i] = Math.sin(i * (microbatch + 1)) / (1 + (i % 97));
  const exponents = [...tensorExponents(values, table)];
  return { values, gradient: { microbatch, buffer, checksum: checksumOf(values), exponents } };
}

function foldOf(gradients: readonly { values: Float32Array; gradient: StoredGradient }[]): ReducerRequest {
  const exponents = [0, 1].map((i) => tensorExponents(stored(i).values, table)).reduce(maxExponents);
  return {
    kind: 'fold',
    generation: 4,
    step: 0,
    weights: checksumOf(arena.state.weights),
    gradients: gradients.map(({ gradient }) => gradient),
    exponents: [...exponents],
  };
}

test('the fold is the integer sum of the gradients, whatever the arena held before', () => {
  const both = [stored(0), stored(1)];
  const request = foldOf(both);
  assert.ok(request.kind === 'fold');
  assert.deepEqual(reducer.handle(request), { kind: 'folded', generation: 4 });
  const expected = new Int32Array(P);
  for (const { values } of both) addFixedPoint(expected, values, table, Int16Array.from(request.exponents), 2);
  assert.deepEqual(arena.sum, expected);
  assert.ok(expected.some((value) => value !== 0));
});

test('a worker that contributes nothing adds zeros', () => {
  assert.equal(reducer.handle(foldOf([])).kind, 'folded');
  assert.ok(arena.sum.every((value) => value === 0));
});

test('one flipped bit in the weights is found before the sum, and the state is named', () => {
  const request = foldOf([stored(0)]);
  new Uint8Array(buffers.state)[4 * 77 + 1] ^= 4;
  const reply = reducer.handle(request);
  assert.ok(reply.kind === 'corrupt');
  assert.match(reply.what, /^the weights of state 0 changed in memory \([0-9a-f]{8} when made, [0-9a-f]{8} now\)/);
  assert.ok(
    arena.sum.every((value) => value === 123),
    'nothing was summed',
  );
});

test('one flipped bit in a gradient is found before the sum is used, and the microbatch is named', () => {
  const both = [stored(0), stored(1)];
  const request = foldOf(both);
  new Uint8Array(both[1].gradient.buffer)[4 * P - 1] ^= 1;
  const reply = reducer.handle(request);
  assert.ok(reply.kind === 'corrupt');
  assert.match(reply.what, /^the gradient of microbatch 1 of step 0 changed/);
});

test('the marks are the digest of the state, and the checksum that its weights are checked against later', () => {
  const digest = stateDigest({ step: 9, ...arena.state });
  const weights = checksumOf(arena.state.weights);
  assert.deepEqual(reducer.handle({ kind: 'mark' }), { kind: 'marked', marks: { digest, weights } });
});

test('a check finds one flipped bit in the weights, and nothing where there is none', () => {
  const request = { kind: 'check', step: 2, weights: checksumOf(arena.state.weights) } as const;
  assert.deepEqual(reducer.handle(request), { kind: 'checked' });
  new Uint8Array(buffers.state)[2] ^= 128;
  const reply = reducer.handle(request);
  assert.ok(reply.kind === 'corrupt');
  assert.match(reply.what, /^the weights of state 2 changed/);
});

test('the thread answers as the function does, on the same memory, and says when a sum cannot be exact', async () => {
  const replies: ReducerReply[] = [];
  let told: () => void = () => undefined;
  const thread = startReducer({ settings, buffers, engineDirectory, trace: null }, (reply) => {
    replies.push(reply);
    told();
  });
  const ask = async (request: ReducerRequest): Promise<ReducerReply> => {
    const count = replies.length;
    const replied = new Promise<void>((resolve) => (told = resolve));
    thread.request(request);
    await replied;
    return replies[count];
  };
  try {
    const mark: ReducerRequest = { kind: 'mark' };
    assert.deepEqual(await ask(mark), reducer.handle(mark));
    const request = foldOf([stored(0), stored(1)]);
    assert.equal((await ask(request)).kind, 'folded');
    const there = Int32Array.from(arena.sum);
    reducer.handle(request);
    assert.deepEqual(there, arena.sum);
    assert.ok(request.kind === 'fold');
    const reply = await ask({ ...request, exponents: request.exponents.map((exponent) => exponent - 1) });
    assert.ok(reply.kind === 'failed');
    assert.equal(reply.code, 'E_FIXEDPOINT_EXCEEDS');
  } finally {
    thread.release();
  }
});

test('what the reducer thread imports does not load TensorFlow', () => {
  const script = `
    await import(${JSON.stringify(new URL('./reducer-service.js', import.meta.url).href)});
    process.stdout.write(process.report.getReport().sharedObjects.filter((path) => path.includes('tensorflow')).join(' '));
  `;
  assert.equal(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }), '');
});
