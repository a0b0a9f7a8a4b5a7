import { LockstepError, type ReplayErrorCode } from '@lockstep/base';

/** What replay refuses or finds. The message says what happened and what to do. */
export class ReplayError extends LockstepError<ReplayErrorCode> {
  override readonly name = 'ReplayError';
}
