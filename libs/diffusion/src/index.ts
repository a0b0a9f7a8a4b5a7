export { loadDataset, loadRunData, MNIST } from './data-source.js';
export type { RunData } from './data-source.js';
export { checkDataset, datasetDigest, describeDataset, idxHeader, shownName, shownNames } from './dataset.js';
export type { DataNeeds, Dataset, Split } from './dataset.js';
export { classBalance } from './class-balance.js';
export type { ClassBalance } from './class-balance.js';
export { classifierPrediction, classifierTable, FEATURES } from './classifier.js';
export type { ClassifierConfig } from './classifier.js';
export { CLASSIFIER_RECIPE, trainClassifier } from './classifier-training.js';
export type { ClassifierRecipe, LabelledImages } from './classifier-training.js';
export { frechetDistance, gaussianOf } from './frechet.js';
export type { Gaussian } from './frechet.js';
export { chooseImages, noiseErrorByQuartile, QUARTILES } from './heldout.js';
export type { NoiseErrorTask } from './heldout.js';
export { accuracyOf, makeJudge, trainOnSyntheticAccuracy } from './judge.js';
export type { Images, Judge, Judgement } from './judge.js';
export { arrayPoints, engineDistances, nearestNeighbours, pixelPoints } from './neighbours.js';
export type { Neighbours, Points, SquaredDistances } from './neighbours.js';
export { coverageOf, precisionRecall } from './precision-recall.js';
export type { PrecisionRecall } from './precision-recall.js';
export { DIFFUSION_ERROR_CODES, DiffusionError } from './errors.js';
export type { DiffusionErrorCode } from './errors.js';
export { IDX_NAMES, parseIdx } from './idx.js';
export type { IdxFile } from './idx.js';
export { checkedLabel, noLabel } from './labels.js';
export { gradientFunction, gradientInputs, predictionFunction, savedPrediction } from './loss.js';
export type { GradientFunction, GraphFunction } from './loss.js';
export { makeMicrobatch, MIN_SNR_GAMMA, networkTimeOf } from './microbatch.js';
export type { LossWeighting, Microbatch, MicrobatchTask, NetworkTime } from './microbatch.js';
export { loadMnist, MNIST_FILES, mnistDirectory, pixelToFloat } from './mnist.js';
export {
  classCount,
  earlyFrom,
  forward,
  imageShape,
  initialParameters,
  labelsOf,
  parameterTable,
  unflatten,
} from './model.js';
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
export { parameterCount, TENSOR_LAYOUT, tensorOf } from './parameters.js';
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
export type { SeedUNetConfig } from './seed-unet.js';
export { updateAt } from './training.js';
export { stratifiedTimesteps, uniformTimestep } from './timesteps.js';
export type { TimestepSampling } from './timesteps.js';
export type { UNetConfig } from './unet-layers.js';
export {
  changedRecipe,
  changesOf,
  checkRecipe,
  initialTrainingState,
  microbatchTask,
  recipeFor,
  recipeOf,
  stateFrom,
} from './recipe.js';
export type { RecipeChanges, RecipeChoice } from './recipe.js';
export { parseRecipe } from './recipe-schema.js';
