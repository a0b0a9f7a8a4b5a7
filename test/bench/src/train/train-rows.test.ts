import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trainRows } from './train-rows.js';

const rate = { min: 1, median: 2, max: 3, samples: 3 };
const share = { min: 0.02, median: 0.03, max: 0.04, samples: 3 };
const trained = { imagesPerSecond: rate, ddp: null, idle: [{ globalBatch: 32, idleShare: share }], ringHidden: share };
const withIdle =
  (idleShare: typeof share): (() => unknown) =>
  () =>
    trainRows({ ...trained, idle: [{ globalBatch: 32, idleShare }] });

test('a share that was not measured in one round does not become 0 %', () => {
  // [0.03, NaN, 0.0254] stays in this order when it is sorted.
  assert.throws(withIdle({ min: 0.03, median: NaN, max: 0.0254, samples: 3 }), /a share of NaN \(0.03 .. 0.0254\)/);
  assert.throws(withIdle({ ...rate, samples: 3 }), /a share of 2/);
  const [, idle] = trainRows(trained);
  assert.deepEqual(idle.ours, { min: 2, median: 3, max: 4, samples: 3 });
});

test('a job is held against PyTorch where that was measured', () => {
  const ddp = { variant: 'eager', version: '2.15.0', bucketMb: 25, imagesPerSecond: { ...rate, median: 1 } };
  const [alone] = trainRows(trained);
  assert.deepEqual([alone.peer, alone.met], [null, null]);
  const [job] = trainRows({ ...trained, ddp });
  assert.deepEqual(
    [job.peer?.name, job.ratio?.median, job.met],
    ['PyTorch DDP (gloo), eager, buckets of 25 MB', 2, true],
  );
});
