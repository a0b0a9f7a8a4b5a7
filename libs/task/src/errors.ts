import { LockstepError, type TaskErrorCode } from '@lockstep/base';

/** A caller's mistake, or a task that cannot be trained. The message says what happened and what to do. */
export class TaskError extends LockstepError<TaskErrorCode> {
  override readonly name = 'TaskError';
}
