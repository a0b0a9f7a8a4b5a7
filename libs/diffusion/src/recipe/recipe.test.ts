import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ImageShape } from '#src/data/image-shape.js';
import { classCount, imageShapeOf } from '#src/network/model.js';
import { PRESET_NAMES, presetOf, PRESETS } from '#src/recipe/presets.js';
import { parseRecipe } from '#src/recipe/recipe-schema.js';
import { stateFrom } from '@lockstep/task';
import { changedRecipe, changesOf, initialTrainingState, recipeFor, recipeOf } from '#src/recipe/recipe.js';
import type { RecipeChoice } from '#src/recipe/recipe.js';

/** Ten classes, in images as the presets have them. */
const MNIST_LIKE = { labels: Uint8Array.of(9), shape: { rows: 28, columns: 28, channels: 1 } };

const stored = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

for (const preset of PRESET_NAMES) {
  test(`the ${preset} recipe comes back whole from JSON`, () => {
    assert.deepEqual(parseRecipe(stored(presetOf(preset))), presetOf(preset));
    assert.deepEqual(recipeOf({ preset }), presetOf(preset));
  });
}

test('each change of a preset changes its own number and no other', () => {
  const { model, optimizer } = PRESETS.default;
  const cases = [
    [{ steps: 7 }, { steps: 7 }],
    [{ globalBatch: 64 }, { globalBatch: 64 }],
    [{ microbatchSize: 16 }, { microbatchSize: 16 }],
    [{ learningRate: 3e-4 }, { optimizer: { ...optimizer, peakLearningRate: 3e-4 } }],
    [{ warmupSteps: 0 }, { optimizer: { ...optimizer, warmupSteps: 0 } }],
    [{ emaDecay: 0 }, { optimizer: { ...optimizer, emaMaxDecay: 0 } }],
    [{ timesteps: 'uniform' }, { timesteps: 'uniform' }],
    [{ prediction: 'eps' }, { prediction: 'eps' }],
    [{ lossWeighting: 'min-snr' }, { lossWeighting: 'min-snr' }],
    [{ schedule: 'sigmoid' }, { schedule: { kind: 'sigmoid', T: 1000, start: -3, end: 3, tau: 1 } }],
    [{ schedule: 'linear' }, { schedule: { kind: 'linear', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 } }],
    [{ baseWidth: 48 }, { model: { ...model, base: 48 } }],
    [{ classes: 3 }, { model: { ...model, classes: 3 } }],
    [{ classes: 0 }, { model: { ...model, classes: 0 }, labelDrop: 0 }],
    [{ labelDrop: 0.2 }, { labelDrop: 0.2 }],
  ] as const;
  for (const [change, changed] of cases) {
    assert.deepEqual(recipeOf({ preset: 'default', ...change }), { ...PRESETS.default, ...changed });
  }
  assert.deepEqual(recipeOf({ preset: 'seed', baseWidth: 64 }), PRESETS['seed-64']);
  assert.deepEqual(recipeOf({ preset: 'seed', classes: 0 }), PRESETS.seed);
  assert.deepEqual(recipeOf({ preset: 'default', steps: null, schedule: null }), PRESETS.default);
});

test('a network that is given labels knows those of its data, unless the run says how many', () => {
  const labels = Uint8Array.of(0, 3, 1);
  const { shape } = MNIST_LIKE;
  const classesOf = (choice: RecipeChoice): number => classCount(recipeFor(choice, { labels, shape }).model);
  assert.equal(classesOf({ preset: 'default' }), 4);
  assert.equal(classesOf({ preset: 'default', classes: 10 }), 10);
  assert.equal(classesOf({ preset: 'default', classes: 0 }), 0);
  assert.equal(classesOf({ preset: 'tiny' }), 0);
  assert.equal(classesOf({ preset: 'tiny', classes: 5 }), 5);
  const oneClass = recipeFor({ preset: 'default' }, { labels: new Uint8Array(3), shape });
  assert.deepEqual([classCount(oneClass.model), oneClass.labelDrop], [0, 0]);
});

test("on images of the presets' shape a new run has the preset's network, byte for byte", () => {
  for (const preset of PRESET_NAMES)
    assert.equal(JSON.stringify(recipeFor({ preset }, MNIST_LIKE)), JSON.stringify(presetOf(preset)));
});

const square = (side: number, channels: number) => ({ rows: side, columns: side, channels });

test('on other images the network has their side and channels, and levels down to eight pixels or fewer where they can be halved', () => {
  const levels = { 16: 3, 20: 3, 24: 3, 28: 3, 32: 3, 36: 3, 40: 4, 48: 4, 56: 4, 60: 3, 64: 4 };
  for (const channels of [1, 3]) {
    for (const [side, count] of Object.entries(levels)) {
      const shape = square(Number(side), channels);
      const { model } = recipeFor({ preset: 'default', baseWidth: 32 }, { ...MNIST_LIKE, shape });
      assert.ok(model.kind === 'unet');
      assert.deepEqual([imageShapeOf(model), model.base], [shape, 32]);
      assert.deepEqual(model.channelMultipliers, [1, 2, 2, 2].slice(0, count));
    }
  }
  const seed = recipeFor({ preset: 'seed' }, { ...MNIST_LIKE, shape: square(45, 3) });
  assert.deepEqual(seed.model, { ...PRESETS.seed.model, imageSize: 45, channels: 3 });
  assert.deepEqual(parseRecipe(stored(seed)), seed);
});

test('images that no network is made for are refused, with what is wrong with them', () => {
  const refused: (readonly [ImageShape, RegExp])[] = [
    [{ rows: 28, columns: 32, channels: 1 }, /the images are 32x28: .*square/],
    [square(12, 1), /16 to 64 pixels a side/],
    [square(96, 3), /96x96 in colour/],
    [square(30, 1), /30x30, and this network halves them 2 times: .* multiples of 4/],
  ];
  for (const [shape, message] of refused)
    assert.throws(() => recipeFor({ preset: 'default' }, { ...MNIST_LIKE, shape }), { code: 'E_DATA_SIZE', message });
});

test('a recipe from before there were classes, predictions and dropped labels means none, eps and none', () => {
  const { prediction, labelDrop, model, ...rest } = PRESETS.tiny;
  const { classes, ...older } = model;
  assert.deepEqual([prediction, labelDrop, classes], ['eps', 0, 0]);
  assert.deepEqual(parseRecipe(stored({ ...rest, model: older })), PRESETS.tiny);
});

test('what is no recipe is refused with its code, naming what is wrong', () => {
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ ...PRESETS.tiny, prediction: 'x' }, /prediction/],
    [{ ...PRESETS.tiny, extra: 1 }, /extra/],
    [{ ...PRESETS.tiny, model: { ...PRESETS.tiny.model, kind: 'mlp' } }, /model\.kind/],
    [{ ...PRESETS.tiny, optimizer: {} }, /optimizer\.beta1/],
    [[], /expected object/],
  ];
  for (const [value, message] of bad) assert.throws(() => parseRecipe(value), { code: 'E_RECIPE', message });
});

test('parts that do not fit are refused: a width that the groups do not divide, labels to drop that are not known', () => {
  assert.throws(() => recipeOf({ preset: 'default', baseWidth: 36 }), { code: 'E_MODEL_CONFIG' });
  assert.throws(() => recipeOf({ preset: 'tiny', labelDrop: 0.1 }), { code: 'E_RECIPE', message: /classes/ });
  assert.throws(() => recipeOf({ preset: 'seed', classes: 10 }), { code: 'E_RECIPE', message: /preset/ });
  assert.throws(() => parseRecipe({ ...PRESETS.tiny, labelDrop: 0.1 }), { code: 'E_RECIPE' });
});

test('what a recipe says by its keys makes the same recipe of itself', () => {
  for (const preset of PRESET_NAMES) {
    const recipe = presetOf(preset);
    assert.deepEqual(changedRecipe(recipe, changesOf(recipe)), recipe);
  }
  const changed = recipeOf({ preset: 'tiny', baseWidth: 16, learningRate: 0.5, steps: 3 });
  const { baseWidth, learningRate, steps } = changesOf(changed);
  assert.deepEqual([baseWidth, learningRate, steps], [16, 0.5, 3]);
});

test("a run that starts from another's state has its weights and average, and moments of zero", () => {
  const before = initialTrainingState(PRESETS.tiny, 1);
  before.ema.fill(2);
  before.expAvg.fill(3);
  before.expAvgSq.fill(4);
  const state = stateFrom(before);
  assert.deepEqual([state.weights, state.ema], [before.weights, before.ema]);
  assert.notEqual(state.weights, before.weights, 'the other state is left as it is');
  for (const moment of [state.expAvg, state.expAvgSq])
    assert.deepEqual(moment, new Float32Array(before.weights.length));
});
