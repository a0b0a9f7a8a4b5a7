import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, test } from 'node:test';
import { cacheDirectoryIn } from '@lockstep/config';
import { encodeState, encodedStateBytes, stateDigest, type TrainingState } from '@lockstep/run';
import { maxExponents } from '@lockstep/exact';
import type { CoordinatorMessage, RunSettings, WorkerMessage } from '@lockstep/comm';
import { engineDirectory, engineEnvironment } from '@lockstep/engine';
import { initialState } from '@lockstep/task';
import { PlayedCoordinator } from './coordinator.fixture.js';
import { lineFile, settingsOf, taskFile } from '../compute/own-task.fixture.js';
import { tinySettings, tinyTask } from '../compute/run.fixture.js';
import { startWorker } from '#src/edge/start.js';
import type { Ending, TrainingWorker } from '#src/edge/worker.js';

/** No test waits for it: nothing here falls silent. */
const HEARTBEAT_TIMEOUT_MS = 30 * 60_000;
const settings = tinySettings();
const self = 'alone';
const place = {
  rank: 0,
  size: 1,
  predecessor: { id: self, host: '127.0.0.1', port: 1 },
  successor: self,
  total: 1,
  leaders: null,
};
const both = { microbatches: [0, 1], digests: [1], anew: [] };

type Gradient = Extract<WorkerMessage, { type: 'gradient' }>;

let coordinator: PlayedCoordinator;
let worker: TrainingWorker | null = null;
let held: ServerResponse[] = [];
let states: Map<string, TrainingState>;

beforeEach(async () => {
  states = new Map();
  held = [];
  coordinator = await PlayedCoordinator.listen((request, response) => {
    const state = states.get(request.url ?? '');
    if (state === undefined) {
      held.push(response);
      return;
    }
    response.writeHead(200, { 'content-length': encodedStateBytes(state.weights.length) });
    for (const chunk of encodeState(state)) response.write(chunk);
    response.end();
  });
});
afterEach(async () => {
  worker?.leave('the test is over', true);
  await worker?.finished;
  worker = null;
  await coordinator.close();
});

/** Connects a worker and reads its `ready`. */
async function started(module?: URL, of = settings): Promise<Extract<WorkerMessage, { type: 'ready' }>> {
  await welcomed(of, module);
  return coordinator.read('ready');
}

/** Connects a worker and tells it of a run. */
async function welcomed(of: RunSettings, module?: URL): Promise<void> {
  Object.assign(process.env, engineEnvironment({ device: 'cpu', threads: 1 }));
  const thread = module === undefined ? {} : { module };
  worker = await startWorker({
    id: self,
    instance: '0'.repeat(32),
    coordinator: coordinator.url,
    host: '127.0.0.1',
    advertiseHost: '127.0.0.1',
    names: [],
    localName: null,
    port: 0,
    compute: {
      device: 'cpu',
      threads: 1,
      engineDirectory: engineDirectory('cpu', cacheDirectoryIn(process.env)),
      trace: null,
      ...thread,
    },
    random: () => 0,
    log: () => undefined,
  });
  await coordinator.read('hello');
  coordinator.say({ type: 'welcome', run: 'run-1', settings: of, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS });
}

function plan(change: Partial<Extract<CoordinatorMessage, { type: 'plan' }>>): CoordinatorMessage {
  const digest = stateDigest(seedState(), 2);
  return { type: 'plan', generation: 1, step: 0, place, work: both, digest, reload: false, sources: [], ...change };
}

function seedState(): TrainingState {
  return { step: 0, ...initialState(tinyTask(), settings.seed) };
}

async function gradients(): Promise<Gradient[]> {
  return [await coordinator.read('gradient'), await coordinator.read('gradient')];
}

function reduce(reported: readonly Gradient[], skip = false): CoordinatorMessage {
  const exponents = reported
    .map((gradient) => Int16Array.from(gradient.exponents))
    .reduce<Int16Array>(maxExponents, Int16Array.from(reported[0].exponents));
  const { generation, step } = reported[0];
  const contribute = skip ? [] : [0, 1];
  return { type: 'reduce', generation, step, contribute, exponents: [...exponents], skip, record: null, next: both };
}

async function ending(): Promise<Ending> {
  assert.ok(worker);
  return worker.finished;
}

test('a worker alone steps, skips a step with the state as it was, and steps again from there', async () => {
  const ready = await started(new URL('./busy-thread.fixture.js', import.meta.url));
  assert.equal(ready.have.digest, stateDigest(seedState(), 2));
  assert.match(ready.engine['tensorflow'] ?? '', /^\d+\.\d+/);
  assert.equal(ready.engine['threads'], '1');
  coordinator.say(plan({}));
  const first = await gradients();
  assert.equal(first[0].digest, null);
  assert.match(first[1].digest ?? '', /^[0-9a-f]{64}$/, 'the plan asked for a digest of microbatch 1');
  assert.notEqual(first[0].samples, first[1].samples);
  assert.ok(first[0].cpuMilliseconds >= 3);
  coordinator.say(reduce(first));
  // The next step's first gradient may come before or after the digest of this one: applied is reported by the I/O thread.
  const applied = await readApplied();
  assert.notEqual(applied.applied.digest, ready.have.digest);
  coordinator.say(reduce(applied.next, true));
  const skipped = await readApplied();
  assert.equal(skipped.applied.step, 1);
  assert.equal(skipped.applied.digest, applied.applied.digest);
  coordinator.say(reduce(skipped.next));
  const third = await readApplied();
  assert.equal(third.applied.step, 2);
  assert.notEqual(third.applied.digest, applied.applied.digest);
});

test('a step whose early bucket is summed before the rest comes to the same state, and the last gradient tells of it before it is whole', async () => {
  await started();
  coordinator.say(plan({}));
  const at = await gradients();
  assert.deepEqual(
    coordinator.early.map(({ step, microbatch }) => [step, microbatch]),
    [[0, 1]],
    'the last of the queue',
  );
  const { exponents } = coordinator.early[0];
  assert.ok(exponents.length > 0 && exponents.length < at[1].exponents.length);
  assert.deepEqual(exponents, at[1].exponents.slice(-exponents.length));

  coordinator.say(reduce(at));
  const whole = (await readApplied()).applied;
  // The same step again, from the same state, in two sums.
  const work = { ...both, anew: [0, 1] };
  states.set('/state/0', seedState());
  coordinator.say(plan({ generation: 2, work, reload: true, sources: ['/state/0'] }));
  await coordinator.read('loaded');
  const again = await gradients();
  const message = reduce(again);
  assert.ok(message.type === 'reduce');
  const { generation, step, contribute, exponents: all } = message;
  coordinator.say({ type: 'sum', generation, step, contribute, exponents: all.slice(-exponents.length) });
  coordinator.say(message);
  const { applied } = await readApplied();
  assert.equal(applied.digest, whole.digest);
  assert.ok(applied.generation === 2);
});

/** `applied` and the two gradients of the next step, in the order in which the threads finish. */
async function readApplied(): Promise<{ applied: Extract<WorkerMessage, { type: 'applied' }>; next: Gradient[] }> {
  const next: Gradient[] = [];
  let applied: Extract<WorkerMessage, { type: 'applied' }> | null = null;
  while (applied === null || next.length < 2) {
    const message = await coordinator.readAny();
    if (message.type === 'applied') applied = message;
    else if (message.type === 'gradient') next.push(message);
    else assert.fail(`read ${message.type}`);
  }
  return { applied, next };
}

test('a gradient whose bit flipped in memory is not summed: the worker says so and ends', async () => {
  await started(new URL('./flip-thread.fixture.js', import.meta.url));
  coordinator.say(plan({}));
  coordinator.say(reduce(await gradients()));
  const bye = await coordinator.read('bye');
  assert.equal(bye.code, 'E_STATE_CORRUPT');
  assert.match(bye.reason, /^the gradient of microbatch 0 of step 0 changed in memory/);
  const { status, code } = await ending();
  assert.deepEqual({ status, code }, { status: 1, code: 'E_STATE_CORRUPT' });
});

test('a state is taken from the source that has it, and the report names source, bytes and time', async () => {
  await started();
  const state = { ...seedState(), step: 6 };
  state.weights[5] = 0.25;
  const digest = stateDigest(state, 2);
  states.set('/good/6', state);
  states.set('/bad/6', seedState());
  coordinator.say(plan({ step: 6, digest, sources: ['/bad/6', '/good/6'] }));
  const loaded = await coordinator.read('loaded');
  assert.equal(loaded.source, `${coordinator.url.replace('ws', 'http')}/good/6`);
  assert.equal(loaded.bytes, encodedStateBytes(state.weights.length));
  assert.ok(loaded.milliseconds > 0);
  const reported = await gradients();
  coordinator.say(reduce(reported));
  assert.equal((await coordinator.read('applied')).step, 6);
});

test('a state that comes when a newer plan wants another one does not replace the state that is held', async () => {
  const ready = await started();
  const state = { ...seedState(), step: 6 };
  state.weights[5] = 0.25;
  coordinator.say(plan({ step: 6, digest: stateDigest(state, 2), sources: ['/later'] }));
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  coordinator.say(plan({ generation: 2 }));
  // The worker answers what comes after the plan, so the plan is in when this connection is made anew.
  coordinator.drop();
  await coordinator.read('hello');
  coordinator.say({ type: 'welcome', run: 'run-1', settings, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS });
  const again = await coordinator.read('ready');
  assert.equal(again.generation, 2);
  held[0].writeHead(200, { 'content-length': encodedStateBytes(state.weights.length) });
  for (const chunk of encodeState(state)) held[0].write(chunk);
  held[0].end();
  assert.equal((await gradients())[0].step, 0);
  assert.equal(again.have.digest, ready.have.digest);
});

test("a task of the user's own is trained: its gradient comes in one piece, and no early bucket is told of", async () => {
  const { settings: own, task } = await settingsOf(taskFile(lineFile()));
  const ready = await started(undefined, own);
  const seed = { step: 0, ...initialState(task, own.seed) };
  assert.equal(ready.have.digest, stateDigest(seed, 2));
  coordinator.say(plan({ digest: ready.have.digest }));
  const first = await gradients();
  assert.equal(first[0].exponents.length, task.table.length);
  assert.equal(first[0].figures?.length, 1, 'distance');
  coordinator.say(reduce(first));
  const { applied } = await readApplied();
  assert.notEqual(applied.digest, ready.have.digest);
  assert.deepEqual(coordinator.early, []);
});

test('a worker with other code says what differs, and ends as one that is refused', async () => {
  const file = taskFile(lineFile());
  const { settings: own } = await settingsOf(file);
  appendFileSync(file, '// another line');
  await welcomed(own);
  const bye = await coordinator.read('bye');
  assert.equal(bye.code, 'E_TASK_CODE');
  assert.match(bye.reason, /line\.mjs is another/);
  const { status, code } = await ending();
  assert.deepEqual({ status, code }, { status: 3, code: 'E_TASK_CODE' });
});

test('what is wrong with the task or its data is told to the coordinator, and ends the worker', async () => {
  const { settings: own } = await settingsOf(
    taskFile(lineFile('{ loss: error, figures: { distance: error.mean() } }')),
  );
  for (const [of, expected, words] of [
    [{ ...own, task: { ...own.task, module: `${own.task.module}.not-there` } }, 'E_TASK_MISSING', /not-there/],
    [{ ...own, dataDigest: '0'.repeat(64) }, 'E_DATA_CHANGED', /put the same data there/],
    [own, 'E_TASK_LOSS', /a loss of shape \[4\], not one number/],
  ] as const) {
    await welcomed(of);
    const bye = await coordinator.read('bye');
    assert.equal(bye.code, expected);
    assert.match(bye.reason, words);
    const { status, code } = await ending();
    assert.deepEqual({ status, code }, { status: 1, code: expected });
  }
});
