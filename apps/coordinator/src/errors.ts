/** Every code by which a run can fail or a worker can be turned away, and what it means. */
export const COORDINATOR_ERRORS = {
  E_CHECKPOINT_LEDGER: 'the newest checkpoint and the ledger are not of the same run',
  E_CHECKPOINT_SOURCE: 'no worker gave the state that was to be published',
  E_DIVERGED: 'workers came to different states after the same step',
  E_NOT_REPRODUCED: 'a step done again gave another state than the ledger holds',
  E_NON_FINITE_GRADIENT: 'a microbatch gave NaN or Inf',
  E_NUMERICS_CLASS: "a worker's engine gives other bits than the run's",
  E_OPEN_FILES: 'a connection was refused because the limit of open files leaves no room for it; the run goes on',
  E_OTHER_RUN: 'a worker is still in another run',
  E_PROTOCOL_VERSION: 'a worker speaks another version of the protocol',
  E_HEARTBEAT_MISSED: 'a worker was silent for longer than the heartbeat timeout',
  E_RING_PEER_LOST: 'a worker cannot be reached by its neighbours in the ring',
  E_STATE_UNAVAILABLE: 'a worker could not load the state that the plan starts from',
  E_AUDIT_TIE: 'two workers stand by different gradients of one microbatch, and nobody is left to decide',
  E_ORIGIN_CHECKPOINT: 'the run that another is to start from holds no whole checkpoint of its own',
  E_ORIGIN_NETWORK: 'the run that another is to start from has another network',
  E_EVALUATION_FAILED: 'the evaluation of a checkpoint ended without a result; the run goes on',
  E_TOO_MANY_WORKERS: 'a run has as many workers as it can have',
  E_WORKER_NAME_TAKEN: 'a worker says the name of another one that lives',
  E_WORKER_CORRUPT: "a worker's gradient has other bits than the same microbatch elsewhere",
  E_WORKER_STALLED: 'a worker does not finish a step that the others have finished',
} as const;

export type CoordinatorErrorCode = keyof typeof COORDINATOR_ERRORS;

export class CoordinatorError extends Error {
  constructor(
    readonly code: CoordinatorErrorCode,
    message: string,
  ) {
    super(message);
    this.name = 'CoordinatorError';
  }
}
