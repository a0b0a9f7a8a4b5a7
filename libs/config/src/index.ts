export { CONFIG_ERRORS, CONFIG_EXIT_CODE, ConfigError, type ConfigErrorCode } from './errors.js';
export {
  contradiction,
  loadConfig,
  loadGiven,
  type ConfigSources,
  type Given,
  type LoadedConfig,
  type Part,
} from './load.js';
export { describeConfig, type KeyDescription } from './describe.js';
export type { FlagValue, Origin } from './layers.js';
export { PROCESS_VARIABLES, type SchemaName } from './schemas.js';
export type { RunConfig } from './run-schema.js';
export type { WorkerConfig } from './worker-schema.js';
export type { UpConfig } from './up-schema.js';
export { failureLine, failureOf, type Failure } from './failure.js';
export { parseFlags } from './flags.js';
export { namesIn } from './key.js';
export { machineNames } from './machine-names.js';
export { localGpus, visibleGpus, workerPlaces } from './gpus.js';
export { guardOutput } from './output.js';
export { Log, type LogLineLevel } from './log.js';
export { canRedraw, columnsOf, TerminalLine, type Fit, type TerminalStream } from './terminal-line.js';
export {
  COPY_MS,
  STOP_SIGNALS,
  SignalJudge,
  endByHangup,
  hangupStops,
  isStopSignal,
  onStopSignals,
  outliveTerminal,
  statusOfSignal,
  type SignalMeaning,
  type StopSignal,
} from './stop-signals.js';
export { launchersOf, watchLaunchers } from './launchers.js';
