/** Diffusion as a task, through the door that a user's own file takes: what of it is known without an engine. */
import { toJson, type JsonObject } from '@lockstep/base';
import {
  TENSOR_LAYOUT,
  type AdamStep,
  type ParameterTable,
  type Split,
  type Task,
  type TaskModule,
} from '@lockstep/task';
import { loadDataset, MNIST } from '../data/data-source.js';
import { checkDataset, inGrey, type Dataset } from '../data/dataset.js';
import { COLOUR, GREY } from '../data/image-shape.js';
import { earlyFrom, imageShapeOf, initialParameters, labelsOf, parameterTable } from '../network/model.js';
import type { Recipe } from '../recipe/presets.js';
import { parseRecipe } from '../recipe/recipe-schema.js';
import { changedRecipe, changesOf, presetFor, recipeFor, recipeOf, type RecipeChanges } from '../recipe/recipe.js';
import { updateAt } from '../training/training.js';
import { choiceOf } from './choice.js';
import { DiffusionData } from './diffusion-data.js';

/** Of what a run's numbers depend on: to be raised by whatever changes the weights of a run that is under way. */
const VERSION = '1';

/** Training a U-Net to predict noise. */
export class DiffusionTask implements Task {
  readonly name = 'diffusion';
  readonly steps: number;
  readonly globalBatch: number;
  readonly microbatchSize: number;
  readonly table: ParameterTable;
  readonly layout = TENSOR_LAYOUT;
  readonly earlyFrom: number;
  readonly recipe: JsonObject;
  readonly choices: JsonObject;
  readonly network: JsonObject;

  /** @param classesOpen the data decides how many classes the network knows, and is not there yet. @throws E_MODEL_CONFIG */
  constructor(
    private readonly preset: Recipe,
    classesOpen = false,
  ) {
    const { steps, globalBatch, microbatchSize, model } = preset;
    this.steps = steps;
    this.globalBatch = globalBatch;
    this.microbatchSize = microbatchSize;
    this.table = parameterTable(model);
    this.earlyFrom = earlyFrom(model);
    this.recipe = toJson(preset);
    const { classes, ...others } = changesOf(preset);
    this.choices = classesOpen ? others : { ...others, classes };
    this.network = toJson(model);
  }

  initialWeights(seed: number): Float32Array {
    return initialParameters(this.preset.model, seed);
  }

  updateAt(step: number, gradientNorm: number): AdamStep {
    return updateAt(this.preset, step, gradientNorm);
  }

  /** @throws E_MNIST_*, E_DATA_*: what is wrong with the images, or does not fit the network */
  open(source: string | null, split: Split): DiffusionData {
    const { model } = this.preset;
    const shape = imageShapeOf(model);
    const found = loadDataset(source ?? MNIST, split);
    const dataset = shape.channels === GREY && found.shape.channels === COLOUR ? inGrey(found) : found;
    checkDataset(dataset, { shape, classes: labelsOf(model) });
    return new DiffusionData(this.preset, dataset);
  }
}

/** A new run's: what its choice leaves open, the shape of the images and perhaps the number of classes, is the data's. */
class ChosenTask extends DiffusionTask {
  constructor(private readonly choice: RecipeChanges & { readonly preset: string }) {
    super(recipeOf(choice), (choice.classes ?? null) === null);
  }

  override open(source: string | null, split: Split): DiffusionData {
    return this.on(loadDataset(source ?? MNIST, split)).data;
  }

  /** @throws E_DATA_SIZE, E_DATA_LABEL if no network of this choice fits the images */
  fitted({ dataset }: DiffusionData): { readonly task: Task; readonly data: DiffusionData } {
    return this.on(dataset);
  }

  private on(dataset: Dataset): { readonly task: Task; readonly data: DiffusionData } {
    const recipe = recipeFor(this.choice, dataset);
    checkDataset(dataset, { shape: imageShapeOf(recipe.model), classes: labelsOf(recipe.model) });
    return { task: new DiffusionTask(recipe), data: new DiffusionData(recipe, dataset) };
  }
}

export const diffusionTask: TaskModule = {
  /** @throws E_RECIPE, E_MODEL_CONFIG, E_SCHEDULE */
  create: (recipe) => new DiffusionTask(parseRecipe(recipe)),
  /** @throws E_PRESET, E_RECIPE, E_MODEL_CONFIG */
  begin: (choice) => {
    const { preset, changes } = choiceOf(choice);
    return new ChosenTask({ preset: preset ?? 'default', ...changes });
  },
  /**
   * A preset that is named among the changes takes the recipe's place, but for the shape of the images and, where `classes` is not
   * there, the labels that the network knows: they are a part of it.
   *
   * @throws E_PRESET, E_RECIPE, E_MODEL_CONFIG
   */
  changed: (recipe, choice) => {
    const before = parseRecipe(recipe);
    const { preset, changes } = choiceOf(choice);
    if (preset === null) return new DiffusionTask(changedRecipe(before, changes));
    const named = presetFor(preset, imageShapeOf(before.model));
    const known = named.model.kind === 'unet' && !('classes' in choice) ? changesOf(before).classes : null;
    return new DiffusionTask(changedRecipe(changedRecipe(named, { classes: known }), changes));
  },
  keys: ['preset', 'timesteps', 'prediction', 'lossWeighting', 'schedule', 'baseWidth', 'classes', 'labelDrop'],
  dataNames: [MNIST],
  version: VERSION,
  can: ['sample', 'evaluate', 'export'],
};
