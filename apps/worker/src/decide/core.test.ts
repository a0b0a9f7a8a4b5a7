import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_TEXT, type CoordinatorMessage } from '@lockstep/comm';
import { decide } from '#src/decide/core.js';
import type { StoredGradient } from '#src/compute/local-sum.js';
import { initialState, type Effect, type Event, type State } from '#src/decide/state.js';

const INSTANCE = '0'.repeat(32);
const IDENTITY = { id: 'a', instance: INSTANCE, host: 'h', port: 2, local: null };
const DIGEST = 'd'.repeat(64);
const member = { id: 'b', host: 'h', port: 1 };
const place = { rank: 0, size: 2, predecessor: member, successor: 'b', total: 2, leaders: null };
const MARKS = { exponents: new Int16Array(), checksum: 0 };
const BUFFER = new SharedArrayBuffer(0);
const whole = (microbatch: number): StoredGradient => ({ microbatch, buffer: BUFFER, early: MARKS, late: MARKS });
const begun = (microbatch: number): StoredGradient => ({ ...whole(microbatch), late: null });
const TIMES = { milliseconds: 1, cpuMilliseconds: 1 };
const GRADIENT = { loss: 1, figures: [], exponents: [1, 2, 3], samples: '0', digest: null, ...TIMES };
const gradientOf = (microbatch: number) => ({ ...GRADIENT, stored: whole(microbatch) });

/** A worker in the middle of step 0, of which it holds microbatch 0 and computes microbatch 1, in a ring that stands. */
class Played {
  state: State = initialState(IDENTITY);

  constructor() {
    this.happens({ type: 'connected' });
    this.says({ type: 'welcome', run: 'r', settings: SETTINGS, heartbeatTimeoutMs: 1000 });
    this.happens({ type: 'initialised', have: { step: 0, digest: DIGEST }, probe: DIGEST, engine: {} });
    const work = { microbatches: [0, 1], digests: [], anew: [] };
    this.says({ type: 'plan', generation: 1, step: 0, place, work, digest: DIGEST, reload: false, sources: [] });
    this.happens({ type: 'ringJoined', generation: 1 });
    this.happens({ type: 'computed', step: 0, microbatch: 0, gradient: gradientOf(0), goesOn: true });
  }

  happens(event: Event): Effect[] {
    const { state, effects } = decide(this.state, event);
    this.state = state;
    return effects;
  }

  says(message: CoordinatorMessage, now = 0): Effect[] {
    return this.happens({ type: 'message', message, now });
  }

  /** The early bucket of microbatch 1 is there, and that of all microbatches is given to the ring. */
  ringsEarly(): void {
    const said = this.happens({ type: 'early', step: 0, microbatch: 1, exponents: [2, 3], stored: begun(1) });
    const message = { type: 'early', generation: 1, step: 0, microbatch: 1, exponents: [2, 3] };
    assert.deepEqual(said, [{ type: 'send', message }]);
    const fold = this.says({ type: 'sum', generation: 1, step: 0, contribute: [0, 1], exponents: [2, 3] });
    assert.deepEqual(fold, [{ type: 'fold', ...EARLY, gradients: [whole(0), begun(1)], exponents: [2, 3] }]);
    assert.deepEqual(this.happens({ type: 'folded', ...EARLY }), [{ type: 'allReduce', ...EARLY }]);
  }

  reduce(skip: boolean): Effect[] {
    const [contribute, exponents] = skip
      ? [[], []]
      : [
          [0, 1],
          [1, 2, 3],
        ];
    const reduce = { generation: 1, step: 0, contribute, exponents, skip, record: null, next: null };
    return this.says({ type: 'reduce', ...reduce });
  }
}

const EARLY = { generation: 1, step: 0, part: 'early' } as const;
const LATE = { ...EARLY, part: 'late' } as const;
const SETTINGS = {
  task: { module: 'diffusion', code: { version: '1' } },
  data: 'mnist',
  seed: 1,
  recipe: {},
  wire: 'int32' as const,
  arithmetic: 2 as const,
  engine: 'tensorflow' as const,
  checkpointEvery: 1,
  dataDigest: DIGEST,
};
const kinds = (effects: readonly Effect[]): string[] => effects.map(({ type }) => type);

test('the early bucket is summed while the last gradient is computed, then the late one alone, then the step is applied', () => {
  const worker = new Played();
  worker.ringsEarly();
  const computed = worker.happens({ type: 'computed', step: 0, microbatch: 1, gradient: gradientOf(1), goesOn: false });
  assert.deepEqual(kinds(computed), ['send']);
  // The late bucket may be folded beside the early one in the ring, and waits with the ring for that to be over.
  assert.deepEqual(worker.reduce(false), [
    { type: 'fold', ...LATE, gradients: [whole(0), whole(1)], exponents: [1, 2, 3] },
  ]);
  assert.deepEqual(worker.happens({ type: 'folded', ...LATE }), []);
  assert.deepEqual(worker.happens({ type: 'summed', ...EARLY, milliseconds: 3, bytes: 10 }), []);
  assert.deepEqual(worker.happens({ type: 'ringReleased' }), [{ type: 'allReduce', ...LATE }]);
  assert.deepEqual(kinds(worker.happens({ type: 'summed', ...LATE, milliseconds: 2, bytes: 5 })), ['apply']);
  assert.deepEqual(worker.state.lastRing, { milliseconds: 5, bytes: 15 }, 'of both');
});

test('a step that is skipped is so after its early bucket went through the ring, in which the others wait', () => {
  const worker = new Played();
  worker.ringsEarly();
  worker.happens({
    type: 'computed',
    step: 0,
    microbatch: 1,
    gradient: { ...gradientOf(1), loss: null },
    goesOn: false,
  });
  assert.deepEqual(worker.reduce(true), []);
  assert.deepEqual(kinds(worker.happens({ type: 'summed', ...EARLY, milliseconds: 3, bytes: 10 })), ['apply']);
  assert.deepEqual(worker.state.lastRing, { milliseconds: 3, bytes: 10 });
});

test('a step that is skipped before anything of it went through the ring took no time of it', () => {
  const worker = new Played();
  worker.state = { ...worker.state, lastRing: { milliseconds: 7, bytes: 70 } };
  const gradient = { ...gradientOf(1), loss: null };
  worker.happens({ type: 'computed', step: 0, microbatch: 1, gradient, goesOn: false });
  assert.deepEqual(kinds(worker.reduce(true)), ['apply']);
  assert.deepEqual(worker.state.lastRing, { milliseconds: 0, bytes: 0 });
});

test('a ring that breaks under the early bucket is reported, and the next generation sums the whole', () => {
  const worker = new Played();
  worker.ringsEarly();
  const failed = worker.happens({
    type: 'ringFailed',
    generation: 1,
    peer: 'b',
    code: 'E_RING_PEER_LOST',
    message: '',
  });
  assert.deepEqual(kinds(failed), ['log', 'send']);
  worker.happens({ type: 'computed', step: 0, microbatch: 1, gradient: gradientOf(1), goesOn: false });
  const work = { microbatches: [0, 1], digests: [], anew: [] };
  const alone = { ...place, size: 1, total: 1 };
  const planned = worker.says({
    ...{ type: 'plan', generation: 2, step: 0, place: alone, work, digest: DIGEST, reload: false, sources: [] },
  });
  assert.deepEqual(kinds(planned), ['leaveRing', 'joinRing', 'send', 'send'], 'both gradients are still held');
  const reduce = {
    generation: 2,
    step: 0,
    contribute: [0, 1],
    exponents: [1, 2, 3],
    skip: false,
    record: null,
    next: null,
  };
  assert.deepEqual(worker.says({ type: 'reduce', ...reduce }), [], 'the old ring still reads the sum');
  const [fold] = worker.happens({ type: 'ringReleased' });
  assert.deepEqual(fold, {
    type: 'fold',
    generation: 2,
    step: 0,
    part: 'whole',
    gradients: [whole(0), whole(1)],
    exponents: [1, 2, 3],
  });
});

test('a worker that is refused for now tries again until the time is over, then ends with the code', () => {
  const played = new Played();
  const taken = {
    type: 'refuse',
    code: 'E_WORKER_NAME_TAKEN',
    message: 'give it another name',
    retryMs: 2_000,
  } as const;
  const kinds = (effects: Effect[]): string[] => effects.map(({ type }) => type);
  assert.deepEqual(kinds(played.says(taken, 10_000)), ['log']);
  played.happens({ type: 'disconnected' });
  const [hello] = played.happens({ type: 'connected' });
  assert.ok(hello.type === 'send' && hello.message.type === 'hello' && hello.message.instance === INSTANCE);
  assert.deepEqual(kinds(played.says(taken, 11_999)), []);
  const ends = played.says(taken, 12_000).at(-1);
  assert.deepEqual(ends, { type: 'exit', status: 3, code: 'E_WORKER_NAME_TAKEN', reason: 'give it another name' });
});

test('the time to try again begins anew once the coordinator has taken the worker in', () => {
  const played = new Played();
  const taken = { type: 'refuse', code: 'E_WORKER_NAME_TAKEN', message: 'm', retryMs: 2_000 } as const;
  played.says(taken, 0);
  played.says({ type: 'welcome', run: 'r', settings: SETTINGS, heartbeatTimeoutMs: 1000 }, 500);
  assert.ok(!played.says(taken, 50_000).some(({ type }) => type === 'exit'));
});

test("a gradient's figures are reported where the task has some, null for one that is not finite", () => {
  const figuresIn = (figures: number[]): unknown => {
    const gradient = { ...gradientOf(1), figures };
    const [said] = new Played().happens({ type: 'computed', step: 0, microbatch: 1, gradient, goesOn: false });
    assert.ok(said.type === 'send' && said.message.type === 'gradient');
    return said.message.figures;
  };
  assert.equal(figuresIn([]), undefined);
  assert.deepEqual(figuresIn([0.5, NaN]), [0.5, null]);
});

test('a refusal without a time ends the worker at once', () => {
  const ends = new Played().says({ type: 'refuse', code: 'E_NUMERICS_CLASS', message: 'm' }).at(-1);
  assert.deepEqual(ends, { type: 'exit', status: 3, code: 'E_NUMERICS_CLASS', reason: 'm' });
});

test('a worker that cannot get ready says why, at most in a whole message, and ends; with other code as one that is refused', () => {
  const failed = (code: 'E_TASK_CODE' | 'E_TASK_LOSS', message: string): Effect[] =>
    new Played().happens({ type: 'failed', code, message });
  assert.deepEqual(failed('E_TASK_CODE', 'a.mjs is another'), [
    { type: 'send', message: { type: 'bye', code: 'E_TASK_CODE', reason: 'a.mjs is another' } },
    { type: 'leaveRing' },
    { type: 'exit', status: 3, code: 'E_TASK_CODE', reason: 'a.mjs is another' },
  ]);
  const [bye, , exit] = failed('E_TASK_LOSS', 'x'.repeat(2 * MAX_TEXT));
  assert.ok(bye.type === 'send' && bye.message.type === 'bye' && bye.message.reason.length === MAX_TEXT);
  assert.ok(exit.type === 'exit' && exit.status === 1);
});

test('a worker that leaves says so, computes nothing more, and stays until it is told to go', () => {
  const worker = new Played();
  const effects = worker.happens({ type: 'leave', reason: 'SIGTERM', atOnce: false });
  const bye = { type: 'bye', code: 'LEFT', reason: 'SIGTERM' };
  assert.deepEqual(effects, [{ type: 'send', message: bye }]);
  assert.deepEqual(worker.happens({ type: 'leave', reason: 'SIGTERM', atOnce: false }), [], 'it says so once');
  worker.happens({ type: 'computed', step: 0, microbatch: 1, gradient: gradientOf(1), goesOn: false });
  const work = { microbatches: [0, 1, 2], digests: [], anew: [] };
  assert.deepEqual(worker.says({ type: 'assign', generation: 1, step: 0, work }), [], 'it begins nothing');
  assert.deepEqual(kinds(worker.reduce(false)), ['fold'], 'the ring is gone through to its end');
  assert.deepEqual(kinds(worker.says({ type: 'stop', code: 'RELEASED', reason: '' })), ['leaveRing', 'exit']);
});

test('a worker that leaves ends when its coordinator is gone, when it is pressed, or when it holds nothing', () => {
  const ends = (effects: Effect[]): boolean =>
    effects.some((effect) => effect.type === 'exit' && effect.status === 0 && effect.code === 'LEFT');
  const gone = new Played();
  gone.happens({ type: 'leave', reason: 'SIGTERM', atOnce: false });
  assert.ok(ends(gone.happens({ type: 'disconnected' })));
  const pressed = new Played();
  pressed.happens({ type: 'leave', reason: 'SIGTERM', atOnce: false });
  assert.ok(ends(pressed.happens({ type: 'leave', reason: 'SIGTERM', atOnce: true })));
  const { state } = decide(initialState(IDENTITY), { type: 'connected' });
  assert.ok(ends(decide(state, { type: 'leave', reason: 'SIGTERM', atOnce: false }).effects));
});

test('a worker whose parent is gone stays as long as its coordinator does', () => {
  const worker = new Played();
  assert.deepEqual(worker.happens({ type: 'orphaned', reason: 'its parent is gone' }), []);
  assert.deepEqual(kinds(worker.happens({ type: 'disconnected' })), ['leaveRing', 'exit']);
  const alone = decide(initialState(IDENTITY), { type: 'orphaned', reason: 'its parent is gone' });
  assert.deepEqual(kinds(alone.effects), ['leaveRing', 'exit']);
});
