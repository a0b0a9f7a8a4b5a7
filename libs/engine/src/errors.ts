import { LockstepError, type EngineErrorCode } from '@lockstep/base';

/** What the engine refuses, or what keeps it from being loaded; the message says what happened and what to do. */
export class EngineError extends LockstepError<EngineErrorCode> {
  override readonly name = 'EngineError';
}
