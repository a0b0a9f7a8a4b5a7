export { ConfigError } from './errors.js';
export {
  contradiction,
  loadConfig,
  loadGiven,
  type ConfigSources,
  type Given,
  type LoadedConfig,
  type Part,
} from './load.js';
export { checkTaskKeys, type TrainedTask } from './task-keys.js';
export { describeConfig, type KeyDescription } from './describe.js';
export type { FlagValue, Origin } from './layers.js';
export { PROCESS_VARIABLES, type SchemaName } from './schemas.js';
export type { RunConfig } from './keys/run-schema.js';
export type { WorkerConfig } from './keys/worker-schema.js';
export type { UpConfig } from './keys/up-schema.js';
export { parseFlags } from './flags.js';
export { namesIn } from './key.js';
export {
  cacheDirectoryIn,
  deviceIn,
  isDumbTerminal,
  kernelsIn,
  runDirectoryIn,
  shownGpus,
} from './process-variables.js';
export { localGpus, visibleGpus, workerPlaces } from './gpus.js';
export { type LogLevel } from './keys/log-level-key.js';
