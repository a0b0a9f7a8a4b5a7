import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheDirectoryIn } from '@lockstep/config';
import { loadEngineHere } from '@lockstep/engine';
import { initialState, parameterCount } from '@lockstep/task';
import { allocateArena, copyState, openArena, snapshotOf, type Arena } from '#src/compute/arena.js';
import { bucketsIn, bucketsOf } from '#src/compute/buckets.js';
import { agreedExponents, sumFormOf, sumGradients } from '#src/compute/exact-sum.js';
import { runHere } from '#src/compute/run-here.js';
import { Trainer } from '#src/compute/trainer.js';
import { lineFile, settingsOf, taskFile } from './own-task.fixture.js';
import { tinySettings, tinyTask } from './run.fixture.js';

const engine = loadEngineHere({ device: 'cpu', threads: 1, cache: cacheDirectoryIn(process.env) }, process.env);
const { settings, task } = await settingsOf(taskFile(lineFile()));
const run = await runHere(settings);
const STEPS = 4;

function trainer(): { arena: Arena; trainer: Trainer } {
  const arena = openArena(allocateArena(parameterCount(task.table)));
  copyState(initialState(task, settings.seed), arena.state);
  return { arena, trainer: new Trainer(engine, run, arena) };
}

test("a gradient in one piece is all in the late bucket: nobody is told of an early one, and a sum has the late one's range", () => {
  const { arena, trainer: alone } = trainer();
  let told = 0;
  const { values, early, late } = alone.compute(0, 1, () => told++);
  assert.equal(told, 0);
  assert.deepEqual([early.exponents.length, late.exponents.length], [0, 2]);
  assert.ok(values.every((value) => value !== 0));
  const [bucket, ...others] = bucketsIn(bucketsOf(task), 'whole');
  assert.deepEqual([bucket.from, bucket.to, others], [0, arena.sum.length, []]);
});

test("a microbatch has the loss and the figures that the task's function gives for its samples", () => {
  const { trainer: alone } = trainer();
  const { loss, figures } = alone.compute(2, 0);
  const [x] = alone.batch(2, 0).inputs;
  // The first weights: slope 1, height 0. The line to find: slope 3, height 1.
  const errors = Array.from(x, (at) => -2 * at - 1);
  const mean = (of: (error: number) => number): number =>
    errors.reduce((sum, error) => sum + of(error), 0) / errors.length;
  assert.ok(Math.abs((loss ?? NaN) - mean((error) => error * error)) < 1e-6);
  assert.equal(figures.length, 1);
  assert.ok(Math.abs(figures[0] - mean(Math.abs)) < 1e-6);
});

test('a task of the user comes to the same bits, whoever computes which microbatch, and whatever was prepared', () => {
  const form = sumFormOf(settings, task);
  const states = [1, 2].map((workers) => {
    const trainers = Array.from({ length: workers }, () => trainer());
    for (let step = 0; step < STEPS; step++) {
      if (workers > 1) for (const each of trainers) each.trainer.prepare(step, [1, 0]);
      const gradients = [1, 0].map((microbatch) => {
        const { values, late } = trainers[microbatch % workers].trainer.compute(step, microbatch);
        return { values, exponents: late.exponents };
      });
      const exponents = agreedExponents(gradients, task.table);
      for (const { arena } of trainers) sumGradients(arena.sum, gradients, task.table, exponents, form);
      for (const each of trainers) each.trainer.apply(step, [...exponents], false);
    }
    return snapshotOf(trainers[0].arena.state);
  });
  assert.deepEqual(states[0], states[1]);
  assert.notDeepEqual(states[0].weights, task.initialWeights(settings.seed));
});

test("other data than the run's, other code, and a loss that is not finite are refused by name", async () => {
  await assert.rejects(runHere({ ...settings, dataDigest: '0'.repeat(64) }), {
    code: 'E_DATA_CHANGED',
    message: /the data in line of this machine is not the run's \(digest 000000000000 of the run/,
  });
  const other = { ...settings.task, code: { ...settings.task.code, 'helper.mjs': '0'.repeat(64) } };
  await assert.rejects(runHere({ ...settings, task: other }), { code: 'E_TASK_CODE', message: /helper.mjs is gone/ });
  const version = { module: 'diffusion', code: { version: '0' } };
  await assert.rejects(runHere({ ...tinySettings(), task: version }), { code: 'E_TASK_CODE' });
  const bad = await settingsOf(taskFile(lineFile('{ loss: error.log().mean(), figures: { distance: error.mean() } }')));
  const arena = openArena(allocateArena(parameterCount(bad.task.table)));
  copyState(initialState(bad.task, 0), arena.state);
  const alone = new Trainer(engine, await runHere(bad.settings), arena);
  assert.throws(() => alone.try(), { code: 'E_TASK_LOSS', message: /the loss of line is NaN/ });
});

test("diffusion's gradient is tried, too, and has an early bucket", async () => {
  const tiny = tinyTask();
  const arena = openArena(allocateArena(parameterCount(tiny.table)));
  copyState(initialState(tiny, 3), arena.state);
  const alone = new Trainer(engine, await runHere(tinySettings()), arena);
  alone.try();
  let told = 0;
  const { early, figures } = alone.compute(0, 0, () => told++);
  assert.deepEqual([told, early.exponents.length, figures], [1, tiny.table.length - (tiny.earlyFrom ?? 0), []]);
});
