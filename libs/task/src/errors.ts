/**
 * Every error code of this library, with what it means.
 *
 * - E_RANDOM_KEY: a seed, step or sample position is outside the range that a random stream can be keyed with.
 * - E_MICROBATCH: a microbatch was asked for that the step does not have, or the sizes do not divide.
 * - E_OPTIMIZER: the optimiser's arrays differ in length or a hyperparameter is out of range.
 * - E_PARAMETERS: parameters do not have the length that the table says.
 * - E_DATA_CHANGED: training data is not what the run began with.
 * - E_DATA_MISSING: the run's data is not where it was, and no other place was named.
 * - E_TASK_MISSING: the file or package that a task is in is not there.
 * - E_TASK_MODULE: what is there is no task: it cannot be loaded, or lacks what a task must have.
 * - E_TASK_CODE: a task's code is not the code that the run began with.
 * - E_TASK_OPTION: a task has no such option, or the option cannot have this value.
 * - E_TASK_CREATE, E_TASK_OPEN, E_TASK_BATCH, E_TASK_LOSS, E_TASK_SAMPLE: that function of a task threw, or returned what it must not.
 * - E_TASK_IMPURE: a task's batch or gradient differs when it is computed again.
 * - E_TASK_TIMEOUT: a promise of a task does not resolve.
 * - E_TASK_CANNOT: the run's task cannot do what is asked of it, such as drawing samples.
 */
export const TASK_ERROR_CODES = [
  'E_RANDOM_KEY',
  'E_MICROBATCH',
  'E_OPTIMIZER',
  'E_PARAMETERS',
  'E_DATA_CHANGED',
  'E_DATA_MISSING',
  'E_TASK_MISSING',
  'E_TASK_MODULE',
  'E_TASK_CODE',
  'E_TASK_CANNOT',
  'E_TASK_OPTION',
  'E_TASK_CREATE',
  'E_TASK_OPEN',
  'E_TASK_BATCH',
  'E_TASK_LOSS',
  'E_TASK_SAMPLE',
  'E_TASK_IMPURE',
  'E_TASK_TIMEOUT',
] as const;

export type TaskErrorCode = (typeof TASK_ERROR_CODES)[number];

/** A caller's mistake, or a task that cannot be trained. The message says what happened and what to do; `code` is stable. */
export class TaskError extends Error {
  override readonly name = 'TaskError';

  constructor(
    readonly code: TaskErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
