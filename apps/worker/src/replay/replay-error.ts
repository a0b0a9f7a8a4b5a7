/** What replay refuses, by stable code. */
export const REPLAY_ERRORS = {
  E_REPLAY_STEP: 'The run has not come to that step. Name one up to the step after the last committed one.',
  E_REPLAY_MICROBATCH: 'A step of that run has no such microbatch. Name one from 0 on.',
  E_REPLAY_RECIPE:
    'This version of Lockstep builds another recipe than the run was made with. Use the version of the run.',
  E_REPLAY_DIGEST:
    'A redone step gave another state than the ledger has. Replay on an engine of the same numerics class.',
  E_REPLAY_WRITE: 'The file with batch and gradient cannot be written. The message says why.',
} as const satisfies Record<string, string>;

/** An expected failure with a stable `code`; its message says what happened and what to do. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError';

  constructor(
    readonly code: keyof typeof REPLAY_ERRORS,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** The caller asked for what the run does not have. */
  get usage(): boolean {
    return this.code === 'E_REPLAY_STEP' || this.code === 'E_REPLAY_MICROBATCH';
  }
}
