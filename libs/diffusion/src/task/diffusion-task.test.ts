import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PRESETS } from '#src/recipe/presets.js';
import { diffusionTask } from '#src/task/diffusion-task.js';
import type { Task } from '@lockstep/task';

function begun(choice: Parameters<typeof diffusionTask.create>[0]): Task {
  assert.ok(diffusionTask.begin !== undefined);
  return diffusionTask.begin(choice);
}

function changed(recipe: Task['recipe'], changes: Task['recipe']): Task {
  assert.ok(diffusionTask.changed !== undefined);
  return diffusionTask.changed(recipe, changes);
}

test('a new run is the preset, with what was chosen; its data decides the classes, unless they were chosen', async () => {
  const task = begun({ preset: 'default', steps: 3, classes: null });
  assert.deepEqual([task.steps, task.choices.steps, task.choices.baseWidth], [3, 3, 16]);
  assert.ok(!('classes' in task.choices));
  assert.equal(begun({ preset: 'default', classes: 4 }).choices.classes, 4);
  const fit = task.fitted?.(await task.open('mnist', 'test'));
  assert.ok(fit !== undefined);
  assert.equal(fit.task.choices.classes, 10);
  assert.deepEqual(fit.task.recipe, JSON.parse(JSON.stringify({ ...PRESETS.default, steps: 3 })));
  assert.equal(fit.data.count, 10_000);
});

test('what is no choice of it is refused', () => {
  assert.throws(() => begun({ width: 3 }), { code: 'E_RECIPE', message: /width/ });
  assert.throws(() => begun({ preset: 'none' }), { code: 'E_PRESET' });
});

test('a run from another keeps its recipe but for the changes; a preset that is named takes its place, with the labels known', () => {
  const { recipe } = begun({ preset: 'default', classes: 3, learningRate: 0.5 });
  const longer = changed(recipe, { steps: 7 });
  assert.deepEqual([longer.steps, longer.choices.learningRate, longer.choices.classes], [7, 0.5, 3]);
  const named = changed(recipe, { preset: 'default', steps: 7 });
  assert.deepEqual([named.choices.learningRate, named.choices.classes], [1e-3, 3]);
  assert.equal(changed(recipe, { preset: 'default', classes: null }).choices.classes, 10);
});

test('a microbatch says what it is made of', async () => {
  const task = diffusionTask.create(begun({ preset: 'tiny' }).recipe);
  const data = await task.open('mnist', 'test');
  const { indices, inputs, notes, tensors = [] } = data.prepare(1, 2, 3);
  assert.deepEqual(data.prepare(1, 2, 3).inputs, inputs);
  assert.equal(indices.length, 4);
  assert.deepEqual(
    tensors.map(({ data: values }) => values),
    inputs,
  );
  assert.deepEqual(notes?.timesteps, [...(tensors[4]?.data ?? [])]);
});
