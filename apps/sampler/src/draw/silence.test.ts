import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { hangs, SILENCE_MS, watchProcess } from '#src/draw/silence.js';

test('who computes nothing in the time of a silence hangs, and who computes for ever; who has little of the processor does not', () => {
  assert.equal(hangs(0, 500, 500), true, 'stopped');
  assert.equal(hangs(0, 500, 2_000), false, 'at one hundredth of the processor');
  assert.equal(hangs(0, SILENCE_MS - 2_000, SILENCE_MS), true, 'an endless loop');
  assert.equal(hangs(null, null, null), true, 'where nothing tells, the time counts');
});

/** A watched process that computes when it is told to, and how often it was found to hang. */
function watched(context: TestContext) {
  context.mock.timers.enable({ apis: ['setInterval'] });
  let [used, found] = [0, 0];
  const watch = watchProcess(
    () => (found += 1),
    1,
    () => used,
  );
  return {
    watch,
    found: () => found,
    passes: (computed: number) => {
      used += computed;
      context.mock.timers.tick(SILENCE_MS);
    },
  };
}

test('it is looked at after each time of a silence, and from each word on anew', (context) => {
  const { watch, found, passes } = watched(context);
  for (let look = 0; look < 5; look++) passes(SILENCE_MS / 10);
  assert.equal(found(), 0);
  watch.refresh();
  for (let look = 0; look < 9; look++) passes(SILENCE_MS / 10);
  assert.equal(found(), 0);
  passes(SILENCE_MS / 10);
  assert.equal(found(), 1);
  watch.refresh();
  passes(0);
  assert.equal(found(), 2);
  watch.end();
  passes(0);
  assert.equal(found(), 2);
});
