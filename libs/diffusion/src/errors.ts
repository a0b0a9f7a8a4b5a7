import { LockstepError, type DiffusionErrorCode } from '@lockstep/base';

/** A caller's mistake or unusable data. The message says what happened and what to do. */
export class DiffusionError extends LockstepError<DiffusionErrorCode> {
  override readonly name = 'DiffusionError';
}
