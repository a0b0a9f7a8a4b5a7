import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeWorkers, localWorkers, type WorkerChoice } from '#src/up/local-workers.js';

const OPEN: WorkerChoice = {
  workers: null,
  threads: null,
  minWorkers: 1,
  microbatches: 4,
  processors: 2,
  gpus: null,
};
const chosen = (given: Partial<WorkerChoice>): readonly number[] => {
  const { workers, threads } = localWorkers({ ...OPEN, ...given });
  return [workers, threads];
};

test('processors go to workers as far as there are microbatches, and what is left to threads', () => {
  assert.deepEqual(chosen({}), [2, 1]);
  assert.deepEqual(chosen({ processors: 1 }), [1, 1]);
  assert.deepEqual(chosen({ processors: 16 }), [4, 4]);
  assert.deepEqual(chosen({ processors: 16, microbatches: 1 }), [1, 16]);
  assert.deepEqual(chosen({ processors: 7 }), [4, 1]);
});

test('what was asked for is kept, and the rest chosen around it', () => {
  assert.deepEqual(chosen({ workers: 3 }), [3, 1]);
  assert.deepEqual(chosen({ workers: 1, processors: 8 }), [1, 8]);
  assert.deepEqual(chosen({ threads: 1, processors: 3 }), [3, 1]);
  assert.deepEqual(chosen({ threads: 2, processors: 8 }), [4, 2]);
  assert.deepEqual(chosen({ threads: 8 }), [1, 8]);
  assert.deepEqual(chosen({ minWorkers: 3, processors: 1 }), [3, 1]);
});

test('a worker a GPU, of one thread', () => {
  assert.deepEqual(chosen({ gpus: 2, processors: 64 }), [2, 1]);
  assert.deepEqual(chosen({ gpus: 8, processors: 64 }), [4, 1]);
});

test('it is said what was chosen and for what, and nothing where all was asked for', () => {
  assert.equal(
    describeWorkers(OPEN, localWorkers(OPEN)),
    '2 workers of 1 thread, for 2 processors and 4 microbatches a step',
  );
  const asked = { ...OPEN, workers: 2, threads: 1 };
  assert.equal(describeWorkers(asked, localWorkers(asked)), null);
});
