export { DIFFUSION_ERROR_CODES, DiffusionError } from './errors.js';
export type { DiffusionErrorCode } from './errors.js';
export { checkedLabel, noLabel } from './labels.js';
export { gradientFunction, gradientInputs, predictionFunction } from './loss.js';
export type { GraphFunction } from './loss.js';
export { makeMicrobatch, MIN_SNR_GAMMA, networkTimeOf } from './microbatch.js';
export type { LossWeighting, Microbatch, MicrobatchTask, NetworkTime } from './microbatch.js';
export { loadMnist, MNIST_FILES, mnistDirectory, parseIdx, pixelToFloat } from './mnist.js';
export type { Dataset, IdxFile, MnistSplit } from './mnist.js';
export { classCount, forward, imageShape, initialParameters, parameterTable, unflatten } from './model.js';
export type { ModelConfig } from './model.js';
export { imagesARun, MAX_GUIDANCE, networkEps } from './network-eps.js';
export type { Condition, NetworkOptions } from './network-eps.js';
export { ppnd16 } from './normal.js';
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
} from './optimizer.js';
export type { AdamStep, LearningRateRecipe, TrainingState } from './optimizer.js';
export { datasetIndex, epochPermutation } from './order.js';
export { parameterCount, tensorOf } from './parameters.js';
export type { ParameterTable, TensorSpan } from './parameters.js';
export { philox4x32 } from './philox.js';
export { PRESET_NAMES, presetOf, PRESETS } from './presets.js';
export type { Preset, PresetName } from './presets.js';
export { fillNormal, fillUniform, STREAMS } from './random.js';
export type { RandomKey, Stream } from './random.js';
export { clippedEps, ddimStep, ddpmStep, dpmpp2mStep, imageOf, levelAt, respacedTimesteps } from './reverse.js';
export type { DdpmVariance, Level, ReverseStep } from './reverse.js';
export { checkSampler, MAX_BATCH, sample, sampleSteps } from './sampler.js';
export type { EpsFunction, SampleProgress, SampleRequest, SamplerConfig } from './sampler.js';
export { microbatchIndices, samplesDigest } from './samples.js';
export { makeSchedule, minSnrWeight, qSample, standardSchedule } from './schedule.js';
export type { Prediction, Schedule, ScheduleConfig } from './schedule.js';
export { updateAt } from './training.js';
export { stratifiedTimesteps, uniformTimestep } from './timesteps.js';
export type { TimestepSampling } from './timesteps.js';
export type { UNetConfig } from './unet-layers.js';
export { checkRecipe, initialTrainingState, microbatchTask, recipeOf } from './recipe.js';
export type { RecipeChanges, RecipeChoice } from './recipe.js';
export { parseRecipe } from './recipe-schema.js';
