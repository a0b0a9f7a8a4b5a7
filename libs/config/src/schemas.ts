/** The schemas by name. */
import type { Keys } from './key.js';
import { runChecks, runKeys, type RunConfig } from './keys/run-schema.js';
import type { Schema } from './schema.js';
import { upChecks, upKeys, type UpConfig } from './keys/up-schema.js';
import { workerChecks, workerKeys, type WorkerConfig } from './keys/worker-schema.js';

export type Configs = { readonly run: RunConfig; readonly worker: WorkerConfig; readonly up: UpConfig };

export type SchemaName = keyof Configs;

export const SCHEMAS: { readonly [N in SchemaName]: Schema<Keys, Configs[N]> } = {
  run: { keys: runKeys, checks: runChecks },
  worker: { keys: workerKeys, checks: workerChecks },
  up: { keys: upKeys, checks: upChecks },
};

/** LOCKSTEP_* variables that are no config keys: they steer set-up and tools before any config is loaded. */
export const PROCESS_VARIABLES: readonly string[] = ['LOCKSTEP_CACHE', 'LOCKSTEP_DEVICE', 'LOCKSTEP_BENCH_PYTHON'];
