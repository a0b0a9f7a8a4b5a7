import assert from 'node:assert/strict';
import { test } from 'node:test';

import { adamStep, emaDecayAt, globalNorm, learningRateAt, stateFrom } from '@lockstep/task';
import type { StateArrays } from '@lockstep/base';
import { PRESETS } from '#src/recipe/presets.js';
import { recipeOf } from '#src/recipe/recipe.js';
import { updateAt } from '#src/training/training.js';

test("an update has the recipe's numbers, the step's learning rate and decay, and the gradient's clip scale", () => {
  const recipe = recipeOf({ preset: 'default', steps: 500, learningRate: 2e-3, warmupSteps: 10, emaDecay: 0.9 });
  const { beta1, beta2, eps, finalFraction } = PRESETS.default.optimizer;
  assert.deepEqual(updateAt(recipe, 200, 4), {
    learningRate: learningRateAt(200, { peak: 2e-3, warmup: 10, total: 500, finalFraction }),
    beta1,
    beta2,
    eps,
    step: 200,
    clipScale: 0.25,
    emaDecay: 0.9,
  });
  assert.equal(updateAt(recipe, 3, 0.5).clipScale, 1);
  assert.equal(updateAt(recipe, 3, 0.5).emaDecay, emaDecayAt(3, 0.9));
  assert.ok(updateAt(recipe, 3, 0.5).emaDecay < 0.9, 'the average warms up');
  assert.equal(updateAt(recipeOf({ preset: 'default', emaDecay: 0 }), 900, 1).emaDecay, 0);
});

test('the seed recipe has no warm-up, no decay, no clipping, and an average that is the weights themselves', () => {
  const { steps } = PRESETS.seed;
  const start = (): StateArrays => stateFrom({ weights: Float32Array.of(1, -2, 3), ema: Float32Array.of(1, -2, 3) });
  const state = start();
  for (const step of [0, 1, 500, steps - 1, steps]) {
    const gradient = Float32Array.of(300, -1e-3, step);
    const update = updateAt(PRESETS.seed, step, globalNorm(gradient));
    assert.equal(update.learningRate, 1e-5);
    assert.equal(update.clipScale, 1);
    adamStep(state, gradient, update);
    assert.deepEqual(state.ema, state.weights);
  }
  assert.notDeepEqual(state.weights, start().weights);
});
