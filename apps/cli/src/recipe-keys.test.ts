import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SUMMANDS, WIRES } from '@lockstep/comm';
import { describeConfig, loadConfig } from '@lockstep/config';
import { PRESET_NAMES, presetOf, recipeOf } from '@lockstep/diffusion';

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

test('the wires that a run may name are all those that there are, with as many microbatches as can be summed', () => {
  assert.deepEqual(wordsOf('wire'), [...WIRES]);
  const ofSteps = (microbatches: number) =>
    configOf({ wire: 'int16', globalBatch: `${microbatches}`, microbatchSize: '1' });
  assert.equal(ofSteps(MAX_SUMMANDS.int16).wire, 'int16');
  assert.throws(() => ofSteps(MAX_SUMMANDS.int16 + 1), { code: 'E_CONFIG_CONFLICT' });
});

test('every word of a key of the recipe makes a recipe that says it', () => {
  for (const word of wordsOf('timesteps')) assert.equal(recipeOf(configOf({ timesteps: word })).timesteps, word);
  for (const word of wordsOf('prediction')) assert.equal(recipeOf(configOf({ prediction: word })).prediction, word);
  for (const word of wordsOf('lossWeighting'))
    assert.equal(recipeOf(configOf({ lossWeighting: word })).lossWeighting, word);
  for (const word of wordsOf('schedule')) assert.equal(recipeOf(configOf({ schedule: word })).schedule.kind, word);
});

test("a config without flags of the recipe is the preset's own, but for the sizes that a run always names", () => {
  const { steps, globalBatch, microbatchSize, ...rest } = recipeOf(configOf({ preset: 'default' }));
  const preset = presetOf('default');
  assert.deepEqual({ ...preset, ...rest }, preset);
  assert.deepEqual([steps, globalBatch, microbatchSize], [2400, 32, 8]);
});

test('the numbers of the recipe reach it by their flags', () => {
  const flags = { learningRate: '2e-3', warmupSteps: '7', emaDecay: '0.9', baseWidth: '48', labelDrop: '0.2' };
  const { optimizer, model, labelDrop } = recipeOf(configOf({ preset: 'default', ...flags }));
  assert.ok(model.kind === 'unet');
  assert.deepEqual(
    [optimizer.peakLearningRate, optimizer.warmupSteps, optimizer.emaMaxDecay, model.base, labelDrop],
    [2e-3, 7, 0.9, 48, 0.2],
  );
});
