export { CONFIG_ERRORS, CONFIG_EXIT_CODE, ConfigError, type ConfigErrorCode } from './errors.js';
export { loadConfig, type ConfigSources } from './load.js';
export { describeConfig, type KeyDescription } from './describe.js';
export type { FlagValue } from './layers.js';
export { PROCESS_VARIABLES, type SchemaName } from './schemas.js';
export type { RunConfig } from './run-schema.js';
export type { WorkerConfig } from './worker-schema.js';
export type { UpConfig } from './up-schema.js';
export { parseFlags } from './flags.js';
