import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toJson } from '@lockstep/base';
import { configToStore, storedRun, type StoredRun } from '#src/record/stored-run.js';

const OLD = { preset: 'tiny', recipe: { steps: 20, globalBatch: 16, microbatchSize: 4, model: { kind: 'unet' } } };

test('a run from before there were tasks, data and wires was of diffusion, MNIST and int32', () => {
  const { recipe, preset } = OLD;
  const read = storedRun({ config: OLD }, 'run');
  assert.deepEqual(read, {
    task: { module: 'diffusion', code: { version: '1' } },
    preset,
    data: 'mnist',
    wire: 'int32',
    steps: 20,
    globalBatch: 16,
    microbatchSize: 4,
    recipe,
  });
  const later = storedRun({ config: { ...OLD, data: '/images', wire: 'int16' } }, 'run');
  assert.deepEqual([later.data, later.wire], ['/images', 'int16']);
});

test('what is stored is read again as it was', () => {
  const run: StoredRun = {
    task: { module: '/home/me/task.mjs', code: { 'task.mjs': 'ab' } },
    preset: null,
    data: null,
    wire: 'int16',
    steps: 3,
    globalBatch: 8,
    microbatchSize: 8,
    recipe: { options: { width: 3 }, given: {} },
  };
  assert.deepEqual(storedRun({ config: toJson(configToStore(run)) }, 'run'), run);
});

test('what is no config of a run is refused, with what is wrong', () => {
  const bad = [
    [null, /expected object|Invalid input/],
    [{ ...OLD, recipe: { ...OLD.recipe, steps: 0 } }, /steps/],
    [{ ...OLD, recipe: { ...OLD.recipe, microbatchSize: 5 } }, /microbatchSize does not divide globalBatch/],
    [{ ...OLD, wire: 'int8' }, /wire/],
    [{ ...OLD, task: { module: '', code: {} } }, /task\.module/],
  ] as const;
  for (const [config, message] of bad)
    assert.throws(() => storedRun({ config }, 'runs/x'), { code: 'E_RUN_CORRUPT', message });
});
