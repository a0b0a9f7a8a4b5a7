import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { monotonicMs } from '#src/decide/clocks.js';
import { afterCommit, afterOpening, etaSeconds, imagesPerSecond, noProgress } from '#src/edge/progress.js';

const at = (seconds: number) => monotonicMs(1000 * seconds);
/** Opened at 0, commits at 3, 5 and 7 seconds: two a step. */
const steady = [3, 5, 7].reduce(
  (progress, second) => afterCommit(progress, at(second)),
  afterOpening(noProgress, at(0)),
);

describe('the rate of a run', () => {
  it('is unknown before the second commit, and not the time from the opening to the first', () => {
    const first = afterCommit(afterOpening(noProgress, at(0)), at(3));
    for (const progress of [noProgress, afterOpening(noProgress, at(0)), first]) {
      assert.equal(progress.stepSeconds, null);
      assert.equal(imagesPerSecond(progress, at(4), 10), 0);
      assert.equal(etaSeconds(progress, at(4), 10), null);
    }
    assert.equal(steady.stepSeconds, 2);
    assert.equal(imagesPerSecond(steady, at(7), 10), 5);
    assert.equal(etaSeconds(steady, at(7), 30), 60);
  });

  it('falls while a step takes longer than twice the usual time', () => {
    assert.equal(imagesPerSecond(steady, at(11), 10), 5);
    assert.equal(imagesPerSecond(steady, at(13), 10), 2.5);
    assert.equal(etaSeconds(steady, at(13), 30), 120);
    assert.ok(imagesPerSecond(steady, at(3607), 10) < 0.003);
  });

  it('is gone with the last worker, and begins anew', () => {
    assert.equal(imagesPerSecond(noProgress, at(8), 10), 0);
    assert.equal(etaSeconds(noProgress, at(8), 30), null);
    assert.equal(etaSeconds(noProgress, at(8), 0), 0, 'nothing is left to do');
  });

  it('outlives a change of the generation, whose first commit ends no step that could be timed', () => {
    const opened = afterOpening(steady, at(20));
    assert.equal(imagesPerSecond(opened, at(20), 10), 5);
    const committed = afterCommit(opened, at(29));
    assert.deepEqual([committed.stepSeconds, imagesPerSecond(committed, at(29), 10)], [null, 5]);
  });
});
