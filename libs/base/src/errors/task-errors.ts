/** Tasks, the order of their samples, and the optimiser. */
import { EXIT, type ErrorEntry } from './entry.js';

export const TASK_ERRORS = {
  E_TASK_MISSING: {
    happened: 'the file or package that a task is in is not there',
    action: 'check the path; it must be there on every machine of the run',
    severity: 'error',
    exit: 1,
  },
  E_TASK_MODULE: {
    happened: 'what is there is no task: it cannot be loaded, or lacks what a task must have',
    action: 'mend what the message names',
    severity: 'error',
    exit: 1,
  },
  E_TASK_CODE: {
    happened: "a task's code is not the code that the run began with; the message says what differs",
    action: 'put that code back, or start another run',
    severity: 'error',
    exit: { lockstep: 1, coordinator: 1, worker: EXIT.refused },
  },
  E_TASK_OPTION: {
    happened: 'a task has no such option, or the option cannot have this value',
    action: 'give what the message allows',
    severity: 'error',
    exit: 1,
  },
  E_TASK_CREATE: {
    happened: "the task's `create` threw, or returned what it must not",
    action: 'mend that function; the message has the place',
    severity: 'error',
    exit: 1,
  },
  E_TASK_OPEN: {
    happened: "the task's `open` threw, or returned what it must not",
    action: 'mend that function; the message has the place',
    severity: 'error',
    exit: 1,
  },
  E_TASK_BATCH: {
    happened: "the task's `batch` threw, or returned what it must not",
    action: 'mend that function; the message has the place',
    severity: 'error',
    exit: 1,
  },
  E_TASK_LOSS: {
    happened: "the task's `loss` threw, or returned what it must not",
    action: 'mend that function; the message has the place',
    severity: 'error',
    exit: 1,
  },
  E_TASK_SAMPLE: {
    happened: "the task's `sample` threw, or returned what it must not",
    action: 'mend that function; the message has the place',
    severity: 'error',
    exit: 1,
  },
  E_TASK_IMPURE: {
    happened: "a task's batch or gradient differs when it is computed again",
    action: 'take random numbers, times and counts only from what the function is given',
    severity: 'error',
    exit: 1,
  },
  E_TASK_TIMEOUT: {
    happened: 'a promise of a task does not resolve',
    action: 'see what it waits for',
    severity: 'error',
    exit: 1,
  },
  E_TASK_CANNOT: {
    happened: "the run's task cannot do what is asked of it, such as drawing samples",
    action: 'add the function that the message names to the task, or leave the command',
    severity: 'error',
    exit: 1,
  },
  E_RANDOM_KEY: {
    happened: 'a seed, step or position is out of range',
    action: 'use a smaller one',
    severity: 'error',
    exit: 1,
  },
  E_MICROBATCH: {
    happened: 'a microbatch that the step does not have, or sizes that do not divide',
    action: 'correct `globalBatch` and `microbatchSize`',
    severity: 'error',
    exit: 1,
  },
  E_OPTIMIZER: {
    happened: 'arrays differ in length, or a hyperparameter is out of range',
    action: 'correct it',
    severity: 'error',
    exit: 1,
  },
  E_PARAMETERS: {
    happened: "parameters do not have the table's length",
    action: 'use the model that they are of',
    severity: 'error',
    exit: 1,
  },
  E_DATA_MISSING: {
    happened: 'a folder, file or link of `--data` leads nowhere or cannot be read',
    action: 'check path and permissions',
    severity: 'error',
    exit: 1,
  },
  E_DATA_CHANGED: {
    happened: 'the training data is not what the run began with (the message has both digests)',
    action: 'put it back, or name by `--data` where it is now',
    severity: 'error',
    exit: 1,
  },
} as const satisfies Record<string, ErrorEntry>;
