export { ARITHMETICS, BLOCK, FIRST_ARITHMETIC, NEWEST_ARITHMETIC, type Arithmetic } from './arithmetic.js';
export { DEFAULT_ENGINE, ENGINES, FIRST_ENGINE, type EngineName } from './engine-name.js';
export { EffectQueue } from './effect-queue.js';
export { EXIT, SEVERITIES, type ErrorEntry, type ExitStatus, type Program, type Severity } from './errors/entry.js';
export { failureLine, failureOf, type Failure } from './errors/failure.js';
export { LockstepError } from './errors/lockstep-error.js';
export { ERROR_ROOMS, ERRORS, ROOM_NOTES, exitStatusOf, isErrorCode, type ErrorCode } from './errors/registry.js';
export type {
  CliErrorCode,
  ConfigErrorCode,
  CoordinatorErrorCode,
  DiffusionErrorCode,
  EngineErrorCode,
  FixedPointErrorCode,
  ReplayErrorCode,
  RunErrorCode,
  SamplerErrorCode,
  TaskErrorCode,
} from './errors/codes.js';
export { isSystemError, messageOf, remedyFor, systemCode, systemReason } from './errors/system.js';
export { isJsonObject, toJson, type JsonObject, type JsonValue } from './json.js';
export { makeFolderSync } from './folders.js';
export { processStat, type ProcessStat } from './process-stat.js';
export type { ParameterTable, StateArrays, TensorSpan, TrainingState } from './state.js';
