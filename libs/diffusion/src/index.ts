export { loadDataset, MNIST } from './data/data-source.js';
export {
  checkDataset,
  datasetDigest,
  describeDataset,
  idxHeader,
  inGrey,
  shownName,
  shownNames,
} from './data/dataset.js';
export type { DataNeeds, Dataset, Split } from './data/dataset.js';
export { COLOUR, dimensionsOf, GREY, isSameShape, shownShape, valuesOf } from './data/image-shape.js';
export type { ImageShape } from './data/image-shape.js';
export { classBalance } from './data/class-balance.js';
export type { ClassBalance } from './data/class-balance.js';
export { DiffusionError } from './errors.js';
export { IDX_NAMES, parseIdx } from './data/idx.js';
export type { IdxFile } from './data/idx.js';
export { checkedLabel, noLabel } from './training/labels.js';
export {
  DIFFUSION_CODE,
  gradientFunction,
  gradientInputs,
  predictionFunction,
  savedPrediction,
} from './training/loss.js';
export type { GradientFunction, GraphFunction } from './training/loss.js';
export { makeMicrobatch, MIN_SNR_GAMMA, networkTimeOf } from './training/microbatch.js';
export type { LossWeighting, Microbatch, MicrobatchTask, NetworkTime } from './training/microbatch.js';
export { loadMnist, MNIST_FILES, mnistDirectory } from './data/mnist.js';
export { PIXEL_VALUES, pixelToFloat } from './data/pixels.js';
export {
  classCount,
  earlyFrom,
  forward,
  imageShapeOf,
  initialParameters,
  labelsOf,
  modelFor,
  parameterTable,
  unflatten,
} from './network/model.js';
export type { ModelConfig } from './network/model.js';
export { imagesARun, MAX_GUIDANCE, networkEps } from './sampling/network-eps.js';
export type { Condition, NetworkOptions } from './sampling/network-eps.js';
export {
  adamFactors,
  adamStep,
  boundedIntegers,
  blocksOf,
  clipScale,
  datasetIndex,
  emaDecayAt,
  emaWarmup,
  epochPermutation,
  fillNormal,
  fillUniform,
  globalNorm,
  initialise,
  integerPower,
  learningRateAt,
  microbatchIndices,
  openUniform,
  parameterCount,
  philox4x32,
  ppnd16,
  samplesDigest,
  shuffled,
  stateFrom,
  STREAMS,
  tableOf,
  TENSOR_LAYOUT,
  tensorOf,
} from '@lockstep/task';
export type {
  AdamStep,
  Layer,
  LearningRateRecipe,
  ParameterTable,
  RandomKey,
  Stream,
  TensorSpan,
} from '@lockstep/task';
export { PRESET_NAMES, presetOf, PRESETS } from './recipe/presets.js';
export type { Recipe, PresetName } from './recipe/presets.js';
export {
  clippedEps,
  ddimStep,
  ddpmStep,
  dpmpp2mStep,
  imageOf,
  levelAt,
  respacedTimesteps,
} from './sampling/reverse.js';
export type { DdpmVariance, Level, ReverseStep } from './sampling/reverse.js';
export { checkSampler, MAX_BATCH, sample, SAMPLER_KINDS, SAMPLERS, sampleSteps } from './sampling/sampler.js';
export type { EpsFunction, SampleProgress, SampleRequest, SamplerConfig, SamplerKind } from './sampling/sampler.js';
export { makeSchedule, minSnrWeight, qSample, standardSchedule } from './training/schedule.js';
export type { Prediction, Schedule, ScheduleConfig } from './training/schedule.js';
export type { SeedUNetConfig } from './network/seed-unet.js';
export { updateAt } from './training/training.js';
export { stratifiedTimesteps, uniformTimestep } from './training/timesteps.js';
export type { TimestepSampling } from './training/timesteps.js';
export type { UNetConfig } from './network/unet-layers.js';
export {
  changedRecipe,
  changesOf,
  checkRecipe,
  initialTrainingState,
  microbatchTask,
  presetFor,
  recipeFor,
  recipeOf,
} from './recipe/recipe.js';
export type { RecipeChanges, RecipeChoice } from './recipe/recipe.js';
export { diffusionTask } from './task/diffusion-task.js';
export { parseRecipe } from './recipe/recipe-schema.js';
