/** A run's recipe: a preset with what the run changes of it, and the state that it starts from. */
import { initialParameters } from './model.js';
import type { TrainingState } from './optimizer.js';
import { presetOf } from './presets.js';
import type { Preset } from './presets.js';
import type { TimestepSampling } from './timesteps.js';

/** What a run may change of its preset; null leaves the preset's own. */
export type RecipeChoice = {
  readonly preset: string;
  readonly steps: number | null;
  readonly globalBatch: number | null;
  readonly microbatchSize: number | null;
  /** Peak learning rate. */
  readonly learningRate: number | null;
  readonly timesteps: TimestepSampling | null;
};

/**
 * The preset with the run's changes.
 *
 * @throws E_PRESET if there is no such preset
 */
export function recipeOf(choice: RecipeChoice): Preset {
  const preset = presetOf(choice.preset);
  return {
    ...preset,
    steps: choice.steps ?? preset.steps,
    globalBatch: choice.globalBatch ?? preset.globalBatch,
    microbatchSize: choice.microbatchSize ?? preset.microbatchSize,
    timesteps: choice.timesteps ?? preset.timesteps,
    optimizer: { ...preset.optimizer, peakLearningRate: choice.learningRate ?? preset.optimizer.peakLearningRate },
  };
}

/** State 0: weights from the seed, moments zero, the moving average equal to the weights. */
export function initialTrainingState(recipe: Preset, seed: number): TrainingState {
  const weights = initialParameters(recipe.model, seed);
  return {
    weights,
    expAvg: new Float32Array(weights.length),
    expAvgSq: new Float32Array(weights.length),
    ema: Float32Array.from(weights),
  };
}
