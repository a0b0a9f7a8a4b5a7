import { LockstepError, type RunErrorCode } from '@lockstep/base';

/** What is wrong with a run's directory: its record, ledger, checkpoints or results. */
export class CheckpointError extends LockstepError<RunErrorCode> {
  override readonly name = 'CheckpointError';
}
