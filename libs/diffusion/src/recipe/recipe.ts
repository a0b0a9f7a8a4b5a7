/** A run's recipe: a preset with what the run changes of it, and the state that it starts from. */
import type { Dataset } from '../data/dataset.js';
import type { ImageShape } from '../data/image-shape.js';
import { DiffusionError } from '../errors.js';
import type { LossWeighting, MicrobatchTask } from '../training/microbatch.js';
import { classCount, initialParameters, modelFor, parameterTable } from '../network/model.js';
import type { ModelConfig } from '../network/model.js';
import { initialState } from '@lockstep/task';
import type { StateArrays } from '@lockstep/base';
import { presetOf } from './presets.js';
import type { Recipe } from './presets.js';
import { makeSchedule, standardSchedule } from '../training/schedule.js';
import type { Prediction, ScheduleConfig } from '../training/schedule.js';
import type { TimestepSampling } from '../training/timesteps.js';

/** What a run may change of its preset; null, or nothing, leaves the preset's own. */
export type RecipeChanges = {
  readonly steps?: number | null;
  readonly globalBatch?: number | null;
  readonly microbatchSize?: number | null;
  /** Peak learning rate. */
  readonly learningRate?: number | null;
  /** Steps of linear warm-up of the learning rate. */
  readonly warmupSteps?: number | null;
  /** Most that the moving average keeps in a step; 0: the average is the weights. */
  readonly emaDecay?: number | null;
  readonly timesteps?: TimestepSampling | null;
  readonly prediction?: Prediction | null;
  readonly lossWeighting?: LossWeighting | null;
  /** Kind of noise schedule, with its paper's numbers and the preset's T. */
  readonly schedule?: ScheduleConfig['kind'] | null;
  /** Channels of the network's first level, of which the others' are multiples. */
  readonly baseWidth?: number | null;
  /** Classes of the labels that the network is given; 0: it is given none. */
  readonly classes?: number | null;
  readonly labelDrop?: number | null;
};

export type RecipeChoice = RecipeChanges & { readonly preset: string };

/**
 * The preset with the run's changes.
 *
 * @throws E_PRESET if there is no such preset; what {@link checkRecipe} throws
 */
export function recipeOf(choice: RecipeChoice): Recipe {
  return changedRecipe(presetOf(choice.preset), choice);
}

/**
 * A recipe, a preset's or another run's, with a run's changes.
 *
 * @throws what {@link checkRecipe} throws
 */
export function changedRecipe(preset: Recipe, choice: RecipeChanges): Recipe {
  const { model, optimizer, schedule } = preset;
  const kind = choice.schedule ?? schedule.kind;
  const changed = labelled(widened(model, choice.baseWidth ?? null), choice.classes ?? null);
  const recipe: Recipe = {
    ...preset,
    model: changed,
    schedule: kind === schedule.kind ? schedule : standardSchedule(kind, schedule.T),
    timesteps: choice.timesteps ?? preset.timesteps,
    lossWeighting: choice.lossWeighting ?? preset.lossWeighting,
    prediction: choice.prediction ?? preset.prediction,
    labelDrop: choice.labelDrop ?? (classCount(changed) === 0 ? 0 : preset.labelDrop),
    globalBatch: choice.globalBatch ?? preset.globalBatch,
    microbatchSize: choice.microbatchSize ?? preset.microbatchSize,
    steps: choice.steps ?? preset.steps,
    optimizer: {
      ...optimizer,
      peakLearningRate: choice.learningRate ?? optimizer.peakLearningRate,
      warmupSteps: choice.warmupSteps ?? optimizer.warmupSteps,
      emaMaxDecay: choice.emaDecay ?? optimizer.emaMaxDecay,
    },
  };
  checkRecipe(recipe);
  return recipe;
}

/**
 * The preset of this name with a network for images of this shape.
 *
 * @throws E_PRESET; E_DATA_SIZE if it cannot be made for them
 */
export function presetFor(name: string, shape: ImageShape): Recipe {
  const preset = presetOf(name);
  return { ...preset, model: modelFor(preset.model, shape) };
}

/**
 * The recipe on its data: the network's images have the data's shape, and a network that is given labels knows as many classes as the
 * data has, if the run does not say how many. Data of one class has no labels to be told apart by, so there the network is given none.
 *
 * @throws what {@link presetFor} and {@link recipeOf} throw
 */
export function recipeFor(choice: RecipeChoice, { labels, shape }: Pick<Dataset, 'labels' | 'shape'>): Recipe {
  const preset = presetFor(choice.preset, shape);
  const recipe = changedRecipe(preset, choice);
  const asked = choice.classes ?? null;
  if (asked !== null || classCount(recipe.model) === 0) return recipe;
  const found = labels.reduce((most, label) => Math.max(most, label + 1), 0);
  return changedRecipe(preset, { ...choice, classes: found > 1 ? found : 0 });
}

/** What a recipe says by each key of {@link RecipeChanges}. */
export function changesOf(recipe: Recipe): {
  readonly [Key in keyof RecipeChanges]-?: NonNullable<RecipeChanges[Key]>;
} {
  const { model, optimizer, schedule } = recipe;
  return {
    steps: recipe.steps,
    globalBatch: recipe.globalBatch,
    microbatchSize: recipe.microbatchSize,
    learningRate: optimizer.peakLearningRate,
    warmupSteps: optimizer.warmupSteps,
    emaDecay: optimizer.emaMaxDecay,
    timesteps: recipe.timesteps,
    prediction: recipe.prediction,
    lossWeighting: recipe.lossWeighting,
    schedule: schedule.kind,
    baseWidth: widthOf(model),
    classes: classCount(model),
    labelDrop: recipe.labelDrop,
  };
}

function widthOf(model: ModelConfig): number {
  switch (model.kind) {
    case 'unet':
      return model.base;
    case 'seed-unet':
      return model.features;
    default:
      return model satisfies never;
  }
}

function widened(model: ModelConfig, width: number | null): ModelConfig {
  if (width === null) return model;
  switch (model.kind) {
    case 'unet':
      return { ...model, base: width };
    case 'seed-unet':
      return { ...model, features: width };
    default:
      return model satisfies never;
  }
}

function labelled(model: ModelConfig, classes: number | null): ModelConfig {
  if (classes === null) return model;
  switch (model.kind) {
    case 'unet':
      return { ...model, classes };
    case 'seed-unet':
      if (classes === 0) return model;
      throw new DiffusionError(
        'E_RECIPE',
        `classes is ${classes}, but the seed's network knows no labels: leave it out, or choose another preset`,
      );
    default:
      return model satisfies never;
  }
}

/**
 * Checks what no single number shows: that the network and the schedule can be built, and the parts fit.
 *
 * @throws E_MODEL_CONFIG, E_SCHEDULE; E_RECIPE for labels to drop that the network does not know
 */
export function checkRecipe({ model, schedule, labelDrop }: Recipe): void {
  parameterTable(model);
  makeSchedule(schedule);
  if (labelDrop > 0 && classCount(model) === 0) {
    throw new DiffusionError(
      'E_RECIPE',
      `labelDrop is ${labelDrop}, but the network knows no labels: leave it out, or train a network with classes`,
    );
  }
}

/** What the microbatches of a run are made from. */
export function microbatchTask(recipe: Recipe, seed: number, dataset: MicrobatchTask['dataset']): MicrobatchTask {
  const { globalBatch, microbatchSize, timesteps, lossWeighting, prediction, networkTime, labelDrop, model } = recipe;
  return {
    seed,
    dataset,
    schedule: makeSchedule(recipe.schedule),
    globalBatch,
    microbatchSize,
    timesteps,
    lossWeighting,
    prediction,
    networkTime,
    classes: classCount(model),
    labelDrop,
  };
}

/** State 0 of a run that starts from its seed. */
export function initialTrainingState(recipe: Recipe, seed: number): StateArrays {
  return initialState({ initialWeights: (of) => initialParameters(recipe.model, of) }, seed);
}
