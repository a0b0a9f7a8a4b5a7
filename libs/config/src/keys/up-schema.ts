/** The config of `lockstep up`: a run, and the local worker processes that it starts. */
import { integerKey, type ValuesOf } from '../key.js';
import { runChecks, runKeys } from './run-schema.js';
import type { Check } from '../schema.js';

/** Each worker is a process of some hundred MB: more on one machine is a slip. */
const MAX_WORKERS = 1024;

export const upKeys = {
  ...runKeys,
  workers: integerKey({ default: 2, min: 1, max: MAX_WORKERS, doc: 'local worker processes' }),
  maxRestarts: integerKey({ default: 3, min: 0, doc: 'how often a local process that died is started again' }),
};

export type UpConfig = ValuesOf<typeof upKeys>;

export const upChecks: readonly Check<UpConfig>[] = [
  ...runChecks,
  ({ minWorkers, workers }) =>
    minWorkers <= workers
      ? undefined
      : { keys: ['minWorkers', 'workers'], rule: 'minWorkers must not be above workers' },
];
