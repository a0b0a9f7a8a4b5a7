export { datasetIndex, epochPermutation, MAX_SAMPLES, shuffled } from './batch/order.js';
export { microbatchIndices, samplesDigest } from './batch/samples.js';
export { compileGradient } from './compile-gradient.js';
export { DefinedTask, definedModule, isDefinition } from './define/defined-task.js';
export type {
  DataDefinition,
  Initializer,
  InputDefinition,
  LossContext,
  LossResult,
  OpenContext,
  OptimizerDefinition,
  Options,
  ParameterDefinition,
  SampleContext,
  SampleRandom,
  TaskBody,
  TaskDefinition,
  Tools,
} from './define/definition.js';
export { TaskError } from './errors.js';
export { loadTask } from './load/load-task.js';
export type { LoadedTask } from './load/load-task.js';
export { openRunData } from './load/run-data.js';
export type { DataOpener, RunData } from './load/run-data.js';
export { checkCode, taskCode } from './load/task-code.js';
export type { TaskCode } from './load/task-code.js';
export { meanOf, measure } from './measure.js';
export type { Measured } from './measure.js';
export { portableCosine } from './optimizer/cosine.js';
export {
  adamFactors,
  adamStep,
  clipScale,
  emaDecayAt,
  emaWarmup,
  globalNorm,
  integerPower,
  learningRateAt,
} from './optimizer/optimizer.js';
export type { AdamStep, LearningRateRecipe } from './optimizer/optimizer.js';
export { ppnd16 } from './random/normal.js';
export { philox4x32 } from './random/philox.js';
export { blocksOf, boundedIntegers, fillNormal, fillUniform, openUniform, STREAMS } from './random/random.js';
export type { RandomKey, Stream } from './random/random.js';
export { initialState, stateFrom } from './state.js';
export { initialise, parameterCount, tableOf, TENSOR_LAYOUT, tensorOf } from './table/parameters.js';
export type { Layer, ParameterTable, TensorSpan } from './table/parameters.js';
export type { Tensor, Tensor4D, TF } from '@lockstep/engine';
export { tryGradient } from './trial.js';
export { COMMON_KEYS } from './task.js';
export type {
  Ability,
  GradientFunction,
  GraphFunction,
  NamedTensor,
  Prepared,
  Split,
  Task,
  TaskData,
  TaskModule,
} from './task.js';
