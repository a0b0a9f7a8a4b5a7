/** The config of one worker process. */
import { allowedHostsKey } from './allowed-hosts-key.js';
import { deviceKey } from './device-key.js';
import {
  hostKey,
  integerKey,
  optionalHostKey,
  optionalTextKey,
  portKey,
  webSocketUrlKey,
  type ValuesOf,
} from '../key.js';
import { kernelsKey } from './kernels-key.js';
import { logLevelKey } from './log-level-key.js';
import type { Check } from '../schema.js';
import { traceKey } from './trace-key.js';
import { warningSignalKey } from './warning-signal-key.js';

/** Far beyond any machine; a larger number is a slip. Of `up` too. */
export const MAX_THREADS = 1024;

export const workerKeys = {
  name: optionalTextKey({
    doc: "name in logs, metrics and the ledger, unlike any other worker's; null: host name and process id",
  }),
  coordinator: webSocketUrlKey({ default: 'ws://127.0.0.1:29400', doc: 'where the coordinator listens' }),
  host: hostKey({ default: '127.0.0.1', doc: 'address that this worker listens on for the next one in the ring' }),
  advertiseHost: optionalHostKey({
    doc: 'address under which the other workers reach this one, those on this host too; null: host',
  }),
  allowedHosts: allowedHostsKey,
  port: portKey({ default: 0, doc: 'port that this worker listens on; 0: any free one' }),
  device: deviceKey,
  threads: integerKey({
    default: 1,
    min: 1,
    max: MAX_THREADS,
    doc: 'threads that compute; with the engine program no bit depends on them, with tensorflow they are part of the numerics class',
  }),
  kernels: kernelsKey,
  trace: traceKey,
  logLevel: logLevelKey,
  warningSignal: warningSignalKey,
};

export type WorkerConfig = ValuesOf<typeof workerKeys>;

export const workerChecks: readonly Check<WorkerConfig>[] = [];
