/** The codes of single rooms, for the errors of one part. */
import type { CLI_ERRORS } from './cli-errors.js';
import type { CONFIG_ERRORS } from './config-errors.js';
import type { COORDINATOR_ERRORS } from './coordinator-errors.js';
import type { DIFFUSION_ERRORS } from './diffusion-errors.js';
import type { ENGINE_ERRORS } from './engine-errors.js';
import type { EXACT_ERRORS } from './exact-errors.js';
import type { RUN_ERRORS } from './run-errors.js';
import type { SAMPLER_ERRORS } from './sampler-errors.js';
import type { TASK_ERRORS } from './task-errors.js';

export type ConfigErrorCode = keyof typeof CONFIG_ERRORS;
/** With those that neighbours name, too. */
export type CoordinatorErrorCode = keyof typeof COORDINATOR_ERRORS | 'E_OPEN_FILES' | 'E_RING_PEER_LOST';
/** Its data and parameters are a task's. */
export type DiffusionErrorCode = keyof typeof DIFFUSION_ERRORS | 'E_PARAMETERS' | 'E_MICROBATCH' | 'E_DATA_MISSING';
export type EngineErrorCode = keyof typeof ENGINE_ERRORS;
export type FixedPointErrorCode = keyof typeof EXACT_ERRORS;
export type RunErrorCode = keyof typeof RUN_ERRORS;
export type SamplerErrorCode = keyof typeof SAMPLER_ERRORS;
export type TaskErrorCode = keyof typeof TASK_ERRORS;
export type ReplayErrorCode = Extract<keyof typeof CLI_ERRORS, `E_REPLAY_${string}`>;
export type CliErrorCode = Exclude<keyof typeof CLI_ERRORS, ReplayErrorCode>;
