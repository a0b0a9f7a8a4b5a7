export { machineNames } from './machine-names.js';
export { guardOutput, usageOutput } from './output.js';
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
