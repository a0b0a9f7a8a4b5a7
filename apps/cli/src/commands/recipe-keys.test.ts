import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WIRES } from '@lockstep/exact';
import { checkTaskKeys, describeConfig, loadConfig } from '@lockstep/config';
import { changesOf, diffusionTask, PRESET_NAMES, presetOf, recipeOf } from '@lockstep/diffusion';

const KEYS = describeConfig('run');
/** The words that a key allows. */
function wordsOf(key: string): string[] {
  const { allowed } = KEYS.find((description) => description.key === key) ?? assert.fail(key);
  return [...allowed.replace('one of ', '').replace(', or null', '').split(', ')];
}

const configOf = (flags: Record<string, string>) => loadConfig({ schema: 'run', env: {}, flags });

test('the presets that a run may name are all those that there are', () => {
  assert.deepEqual(wordsOf('preset').sort(), [...PRESET_NAMES].sort());
});

test('the keys that a task of its own must not have are those that diffusion takes', () => {
  const isRefused = (key: string): boolean => {
    const own = { path: '/task.mjs', source: 'flag --task', keys: [], evaluates: true };
    const given = new Map([[key, { layer: 'flag', source: `flag of ${key}` } as const]]);
    try {
      checkTaskKeys({ ...configOf({}), [key]: 1 }, given, own);
      return false;
    } catch {
      return true;
    }
  };
  const refused = KEYS.map(({ key }) => key).filter(isRefused);
  assert.deepEqual(refused.sort(), [...(diffusionTask.keys ?? [])].sort());
});

test('the wires that a run may name are all those that there are', () => {
  assert.deepEqual(wordsOf('wire'), [...WIRES]);
});

test('every word of a key of the recipe makes a recipe that says it', () => {
  for (const word of wordsOf('timesteps')) assert.equal(recipeOf(configOf({ timesteps: word })).timesteps, word);
  for (const word of wordsOf('prediction')) assert.equal(recipeOf(configOf({ prediction: word })).prediction, word);
  for (const word of wordsOf('lossWeighting'))
    assert.equal(recipeOf(configOf({ lossWeighting: word })).lossWeighting, word);
  for (const word of wordsOf('schedule')) assert.equal(recipeOf(configOf({ schedule: word })).schedule.kind, word);
});

test("a config without flags of the recipe is the preset's own", () => {
  for (const preset of PRESET_NAMES) assert.deepEqual(recipeOf(configOf({ preset })), presetOf(preset));
});

test('every number and choice of a recipe that a run may change has a key, with null for none', () => {
  const config = configOf({});
  for (const key of Object.keys(changesOf(presetOf('default'))))
    assert.equal(Object.entries(config).find(([name]) => name === key)?.[1], null, key);
});

test('the numbers of the recipe reach it by their flags', () => {
  const flags = {
    learningRate: '2e-3',
    steps: '5',
    globalBatch: '6',
    microbatchSize: '3',
    warmupSteps: '7',
    emaDecay: '0.9',
    baseWidth: '48',
    labelDrop: '0.2',
  };
  const recipe = recipeOf(configOf({ preset: 'default', ...flags }));
  const { optimizer, model, labelDrop } = recipe;
  assert.deepEqual([recipe.steps, recipe.globalBatch, recipe.microbatchSize], [5, 6, 3]);
  assert.ok(model.kind === 'unet');
  assert.deepEqual(
    [optimizer.peakLearningRate, optimizer.warmupSteps, optimizer.emaMaxDecay, model.base, labelDrop],
    [2e-3, 7, 0.9, 48, 0.2],
  );
});
