export { loadDataset, loadRunData, MNIST, ofDigest } from './data/data-source.js';
export type { RunData } from './data/data-source.js';
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
export { DIFFUSION_ERROR_CODES, DiffusionError } from './errors.js';
export type { DiffusionErrorCode } from './errors.js';
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
export { loadMnist, MNIST_FILES, mnistDirectory, pixelToFloat } from './data/mnist.js';
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
export { ppnd16 } from './training/normal.js';
export {
  adamFactors,
  adamStep,
  clipScale,
  emaDecayAt,
  emaWarmup,
  globalNorm,
  integerPower,
  learningRateAt,
  normOf,
  NORM_SUMS,
} from './training/optimizer.js';
export type { AdamStep, LearningRateRecipe, TrainingState } from './training/optimizer.js';
export { datasetIndex, epochPermutation } from './training/order.js';
export { parameterCount, TENSOR_LAYOUT, tensorOf } from './network/parameters.js';
export type { ParameterTable, TensorSpan } from './network/parameters.js';
export { philox4x32 } from './training/philox.js';
export { PRESET_NAMES, presetOf, PRESETS } from './recipe/presets.js';
export type { Preset, PresetName } from './recipe/presets.js';
export { fillNormal, fillUniform, STREAMS } from './training/random.js';
export type { RandomKey, Stream } from './training/random.js';
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
export { checkSampler, MAX_BATCH, sample, sampleSteps } from './sampling/sampler.js';
export type { EpsFunction, SampleProgress, SampleRequest, SamplerConfig } from './sampling/sampler.js';
export { microbatchIndices, samplesDigest } from './training/samples.js';
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
  stateFrom,
} from './recipe/recipe.js';
export type { RecipeChanges, RecipeChoice } from './recipe/recipe.js';
export { parseRecipe } from './recipe/recipe-schema.js';
export { shuffled } from './training/order.js';
export { boundedIntegers, blocksOf, openUniform } from './training/random.js';
export { initialise, tableOf, type Layer } from './network/parameters.js';
