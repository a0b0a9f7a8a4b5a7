import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measure } from '#src/measure.js';
import { dataOf, fails, lineTask, POINTS, testEngine } from './define/line.fixture.js';

const engine = testEngine();

test('loss and figures are the means over every sample of the data, each once', () => {
  const task = lineTask({ globalBatch: 10, microbatchSize: 5 });
  const weights = Float32Array.of(1, 2, 3);
  const { loss, figures, samples } = measure(engine, task, dataOf(task), weights);
  // As POINTS: x = (i / 10, 1 - i / 10), y = 3 i.
  const errors = Array.from({ length: 10 }, (_, i) => i / 10 + 2 * (1 - i / 10) + 3 - 3 * i);
  const near = (actual: number, sum: number): void =>
    assert.ok(Math.abs(actual - sum / 10) < 1e-3, `${actual} ${sum / 10}`);
  near(
    loss,
    errors.reduce((sum, error) => sum + error * error, 0),
  );
  near(
    figures['distance'],
    errors.reduce((sum, error) => sum + Math.abs(error), 0),
  );
  assert.equal(samples, 10);
});

test('as few samples are looked at as are wanted, in whole microbatches', () => {
  const task = lineTask();
  assert.equal(measure(engine, task, dataOf(task), new Float32Array(3), 4).samples, 6);
});

test('the rest that fills no microbatch is left out, and less than one microbatch is an error', () => {
  const task = lineTask();
  assert.equal(measure(engine, task, dataOf(task), new Float32Array(3)).samples, 9);
  const few = lineTask({ open: () => ({ ...POINTS, count: 2 }) });
  fails(
    () => measure(engine, few, dataOf(few), new Float32Array(3)),
    'E_MICROBATCH',
    /2 samples to test on, and a microbatch has 3/,
  );
});
