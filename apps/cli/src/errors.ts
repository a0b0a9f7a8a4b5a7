import { LockstepError, type CliErrorCode } from '@lockstep/base';

/** What the command line itself refuses or finds. The message says what happened and what to do. */
export class CliError extends LockstepError<CliErrorCode> {
  override readonly name = 'CliError';
}
