import { LockstepError, type CoordinatorErrorCode } from '@lockstep/base';

/** What a run fails by, or a worker is turned away for. The message says what happened and what to do. */
export class CoordinatorError extends LockstepError<CoordinatorErrorCode> {
  override readonly name = 'CoordinatorError';
}
