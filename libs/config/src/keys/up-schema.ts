/** The config of `lockstep up`: a run, and the local worker processes that it starts. */
import { integerKey, optionalIntegerKey, type ValuesOf } from '../key.js';
import { runChecks, runKeys } from './run-schema.js';
import type { Check } from '../schema.js';
import { MAX_THREADS } from './worker-schema.js';

/** Each worker is a process of some hundred MB: more on one machine is a slip. */
const MAX_WORKERS = 1024;

export const upKeys = {
  ...runKeys,
  workers: optionalIntegerKey({
    min: 1,
    max: MAX_WORKERS,
    doc: 'local worker processes; null: one a processor, or one a GPU, as far as there are microbatches for them',
  }),
  threads: optionalIntegerKey({
    min: 1,
    max: MAX_THREADS,
    doc: 'threads that compute in each worker; null: the processors that the workers leave, shared among them',
  }),
  maxRestarts: integerKey({ default: 3, min: 0, doc: 'how often a local process that died is started again' }),
};

export type UpConfig = ValuesOf<typeof upKeys>;

export const upChecks: readonly Check<UpConfig>[] = [
  ...runChecks,
  ({ minWorkers, workers }) =>
    workers === null || minWorkers <= workers
      ? undefined
      : { keys: ['minWorkers', 'workers'], rule: 'minWorkers must not be above workers' },
];
