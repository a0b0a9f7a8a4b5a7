import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics, type Live } from '#src/edge/metrics.js';
import { newState } from '../decide/state.fixture.js';
import type { State, WorkerView } from '#src/decide/state.js';

const WORKER: WorkerView = {
  id: 'a',
  instance: 'first',
  host: 'h',
  port: 1,
  local: null,
  lastSeen: 0,
  have: null,
  record: null,
  probe: null,
  speed: { milliseconds: 250, cpuShare: 1 },
  straggler: 'slow',
  blamed: 0,
  unable: 0,
  leaving: false,
};

/** A ring of one worker, of which one step took 3 ms of ring. */
function running(): State {
  const state = newState();
  const workers = new Map([[WORKER.id, WORKER]]);
  return {
    ...state,
    workers,
    ring: ['a'],
    ranks: new Map([['a', 0]]),
    lastRing: { ringMilliseconds: 3, ringBytes: 1 },
  };
}

/** Names and labels of the run's own series, each with its value. */
async function series(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith('lockstep_'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('a worker that is gone leaves no value behind', async () => {
  let live: Live = { state: running(), imagesPerSecond: 1381 };
  const metrics = new Metrics(() => live);
  const before = await series(metrics);
  assert.equal(before.get('lockstep_workers'), 1);
  assert.equal(before.get('lockstep_images_per_second'), 1381);
  assert.equal(before.get('lockstep_ring_seconds'), 0.003);
  assert.equal(before.get('lockstep_worker_microbatch_seconds{worker="a"}'), 0.25);
  assert.equal(before.get('lockstep_straggler{worker="a"}'), 1);
  // Lost while the last checkpoint is written: its ring is not replaced any more.
  live = { state: { ...running(), workers: new Map() }, imagesPerSecond: 0 };
  const after = await series(metrics);
  assert.equal(after.get('lockstep_workers'), 0);
  assert.equal(after.get('lockstep_connected_workers'), 0);
  assert.equal(after.get('lockstep_images_per_second'), 0);
  const gone = [...before.keys()].filter((name) => !after.has(name));
  assert.deepEqual(gone.sort(), [
    'lockstep_ring_seconds',
    'lockstep_straggler{worker="a"}',
    'lockstep_worker_microbatch_seconds{worker="a"}',
  ]);
});

test('nothing of a run that is over goes on', async () => {
  const phase = { kind: 'over', outcome: { kind: 'failed', code: 'E_DIVERGED', reason: '' } } as const;
  const metrics = new Metrics(() => ({ state: { ...running(), phase }, imagesPerSecond: 0 }));
  const shown = await series(metrics);
  assert.equal(shown.get('lockstep_workers'), 0);
  assert.equal(shown.has('lockstep_ring_seconds'), false);
});

test('the loss has no value before a step is committed, and keeps the last that was finite; figures are of the last step', async () => {
  const metrics = new Metrics(() => ({ state: newState(), imagesPerSecond: 0 }));
  assert.equal((await series(metrics)).has('lockstep_loss'), false);
  const committed = {
    note: 'committed',
    step: 0,
    generation: 1,
    digest: '',
    ringMilliseconds: 0,
    ringBytes: 0,
  } as const;
  metrics.record({ ...committed, loss: 0.5, figures: { accuracy: 0.75 }, redone: false, skipped: false }, null);
  assert.equal((await series(metrics)).get('lockstep_figure{name="accuracy"}'), 0.75);
  metrics.record({ ...committed, loss: null, figures: {}, redone: false, skipped: true }, 2);
  const shown = await series(metrics);
  assert.equal(shown.get('lockstep_loss'), 0.5);
  assert.equal(shown.has('lockstep_figure{name="accuracy"}'), false, 'a figure is of the last step or of none');
  assert.equal(shown.get('lockstep_step_duration_seconds_count'), 1, 'of the steps whose time is known');
});

test('a coordinator that was restarted shows the checkpoint that it found', async () => {
  const checkpoint = { step: 50, digest: '' };
  const metrics = new Metrics(() => ({ state: { ...newState(), checkpoint }, imagesPerSecond: 0 }));
  assert.equal((await series(metrics)).get('lockstep_checkpoint_last_step'), 50);
});
