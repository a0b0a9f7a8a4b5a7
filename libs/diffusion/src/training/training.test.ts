import assert from 'node:assert/strict';
import { test } from 'node:test';

import { emaDecayAt, learningRateAt } from '#src/training/optimizer.js';
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
