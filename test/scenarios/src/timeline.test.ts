import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Timeline, channelSchema, median } from './timeline.js';

type Told = Parameters<Timeline['add']>;

/** A commit that is told at `at` by a coordinator whose clock shows something else. */
function committed(at: number, step: number, generation: number, redone = false): Told {
  const status = { step: step + 1, generation, workers: [] };
  return [{ at: 1e12 - at, note: { note: 'committed', step, generation, redone }, status }, at];
}

function timelineOf(...told: Told[]): Timeline {
  const timeline = new Timeline();
  for (const each of told) timeline.add(...each);
  return timeline;
}

test('the next new commit is one after the injection, in a newer generation, of a step not yet in the ledger', () => {
  const timeline = timelineOf(
    committed(100, 0, 1),
    committed(200, 1, 1),
    committed(300, 0, 2, true),
    committed(400, 2, 2),
  );
  assert.equal(timeline.newCommit(150)?.at, 200);
  assert.equal(timeline.newCommit(150, 1)?.at, 400);
  assert.equal(timeline.newCommit(150, 2), undefined);
  assert.deepEqual(timeline.redone(), [0]);
});

test('gaps are the seconds between commits inside the window', () => {
  const timeline = timelineOf(
    committed(1000, 0, 1),
    committed(1500, 1, 1),
    committed(3500, 2, 1),
    committed(9000, 3, 1),
  );
  assert.deepEqual(timeline.gaps(1000, 4000), [0.5, 2]);
});

test('the median is the middle, the mean of the two middle ones, and not a number of none', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test('a report of the coordinator is read with the fields that a note does not have missing', () => {
  const report = {
    at: 5,
    note: { note: 'waiting', reason: 'x', extra: 1 },
    status: { step: 0, generation: 0, workers: [] },
  };
  const read = channelSchema.parse({ kind: 'report', report });
  assert.equal(read.kind === 'report' && read.report.note.reason, 'x');
});
