import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toJson } from '@lockstep/base';
import { configToStore, storedRun, type StoredRun } from '#src/record/stored-run.js';

const OLD = { preset: 'tiny', recipe: { steps: 20, globalBatch: 16, microbatchSize: 4, model: { kind: 'unet' } } };

test('a run from before there were tasks, data, wires, arithmetics and engines was of diffusion, MNIST, int32, 1 and tensorflow', () => {
  const { recipe, preset } = OLD;
  const read = storedRun({ config: OLD }, 'run');
  assert.deepEqual(read, {
    task: { module: 'diffusion', code: { version: '1' } },
    preset,
    data: 'mnist',
    wire: 'int32',
    arithmetic: 1,
    engine: 'tensorflow',
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
    arithmetic: 2,
    engine: 'program',
    steps: 3,
    globalBatch: 8,
    microbatchSize: 8,
    recipe: { options: { width: 3 }, given: {} },
  };
  const stored = configToStore(run);
  assert.deepEqual(storedRun({ config: toJson(stored) }, 'run'), run);
  const { arithmetic, engine, ...before } = stored;
  assert.deepEqual([arithmetic, engine], [2, 'program']);
  assert.deepEqual(storedRun({ config: toJson(before) }, 'run'), { ...run, arithmetic: 1, engine: 'tensorflow' });
});

test('what is no config of a run is refused, with what is wrong', () => {
  const bad = [
    [null, /expected object|Invalid input/],
    [{ ...OLD, recipe: { ...OLD.recipe, steps: 0 } }, /steps/],
    [{ ...OLD, recipe: { ...OLD.recipe, microbatchSize: 5 } }, /microbatchSize does not divide globalBatch/],
    [{ ...OLD, wire: 'int8' }, /wire/],
    [{ ...OLD, arithmetic: 3 }, /arithmetic/],
    [{ ...OLD, engine: 'other' }, /engine/],
    [{ ...OLD, task: { module: '', code: {} } }, /task\.module/],
  ] as const;
  for (const [config, message] of bad)
    assert.throws(() => storedRun({ config }, 'runs/x'), { code: 'E_RUN_CORRUPT', message });
});
