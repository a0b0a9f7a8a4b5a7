import { LockstepError, type SamplerErrorCode } from '@lockstep/base';

/** What drawing, exporting and evaluating can fail by. The message says what happened and what to do. */
export class SamplerError extends LockstepError<SamplerErrorCode> {
  override readonly name = 'SamplerError';
}
