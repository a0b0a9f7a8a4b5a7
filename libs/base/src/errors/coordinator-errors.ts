/** What a run fails by, a worker is turned away for, or the coordinator answers. */
import { USAGE, type ErrorEntry } from './entry.js';

export const COORDINATOR_ERRORS = {
  E_CHECKPOINT_LEDGER: {
    happened: 'newest checkpoint and ledger are not of one run',
    action: 'restore both from one copy, or start in a new directory',
    severity: 'error',
    exit: { coordinator: 1 },
  },
  E_CHECKPOINT_AHEAD: {
    happened: 'there are checkpoints of steps that the ledger does not have; they are not used',
    action: 'none: the steps are done again; a ledger that was restored from an old copy can be a reason',
    severity: 'warning',
    exit: null,
  },
  E_CHECKPOINT_SOURCE: {
    happened: 'no worker gave the state to be published',
    action: 'usually none: the run goes on; else resume from the checkpoint that the message names',
    severity: 'error',
    exit: { coordinator: 1 },
    when: 'if it is the one that a stop leaves',
  },
  E_ORIGIN_CHECKPOINT: {
    happened: '`--from`: that run holds no whole checkpoint, or one of another run',
    action: 'train it first, or restore it',
    severity: 'error',
    exit: 1,
  },
  E_ORIGIN_NETWORK: {
    happened: '`--from`: that run has another network than is asked for (the message says what differs)',
    action: 'leave out what changes the network, or start without `--from`',
    severity: 'error',
    exit: USAGE,
  },
  E_EVALUATION_FAILED: {
    happened: 'the evaluation of a checkpoint (`--evaluate-every`) ended without a result',
    action: 'none: the run goes on; the message says why, `lockstep eval` shows it',
    severity: 'warning',
    exit: null,
  },
  E_DIVERGED: {
    happened:
      'workers came to different states after one step. Minority, or a worker that contradicts itself: it is refused. A tie in which all stand by theirs twice: the run fails',
    action:
      "test that machine's memory and engine; after a tie, resume with one worker more, or without one of those named",
    severity: 'refusal',
    exit: { worker: 3, coordinator: 1 },
    when: 'the coordinator in a tie alone',
  },
  E_WORKER_CORRUPT: {
    happened: "audit: a worker's gradient has other bits than the same microbatch elsewhere; it is refused",
    action: 'do not use that machine before its memory and processor are tested',
    severity: 'refusal',
    exit: { worker: 3 },
  },
  E_AUDIT_TIE: {
    happened: 'audit: gradients of one microbatch differ, all stand by theirs, and nobody is left to decide',
    action: 'resume with one worker more, or without one of those named',
    severity: 'error',
    exit: { coordinator: 1 },
  },
  E_NOT_REPRODUCED: {
    happened: 'a step done again gave another state than the ledger has',
    action: 'check memory and engine; resume with the engine that the run began with',
    severity: 'error',
    exit: { coordinator: 1 },
  },
  E_NON_FINITE_GRADIENT: {
    happened:
      'a gradient or loss is NaN or Inf, with `--non-finite stop`; or with `skip`, after 25 skipped steps in a row',
    action:
      'look at the microbatch by `lockstep replay`; resume with `--non-finite skip`, or start a run with a lower learning rate',
    severity: 'error',
    exit: { coordinator: 1 },
  },
  E_NUMERICS_CLASS: {
    happened: "the worker's engine gives other bits than the run's; the message says what differs",
    action: 'same TensorFlow version, device, threads and processor instructions; or `--numerics relaxed`',
    severity: 'refusal',
    exit: { worker: 3 },
  },
  E_TOO_MANY_WORKERS: {
    happened: 'the run has 4,096 workers already',
    action: 'start fewer',
    severity: 'refusal',
    exit: { worker: 3 },
  },
  E_WORKER_NAME_TAKEN: {
    happened:
      'another process says the name of a worker that lives; that one goes on. The newcomer tries again for two heartbeat timeouts',
    action: 'give it a name of its own: `--name`; of a worker that died, wait: it is noticed within one timeout',
    severity: 'refusal',
    exit: { worker: 3 },
  },
  E_OTHER_RUN: {
    happened: 'the worker is in another run than the coordinator',
    action: 'start a new worker',
    severity: 'refusal',
    exit: { worker: 3 },
  },
  E_PROTOCOL_VERSION: {
    happened: 'the worker speaks another protocol version',
    action: 'run one version of Lockstep everywhere',
    severity: 'refusal',
    exit: { worker: 3 },
  },
  E_HEARTBEAT_MISSED: {
    happened: 'a worker was silent longer than the timeout and was cut off',
    action: 'none if it was lost; else look at network and load, or raise `heartbeatTimeoutMs`',
    severity: 'warning',
    exit: null,
  },
  E_WORKER_STALLED: {
    happened: 'cut off: it answers heartbeats, but has not applied a step that others have, for 2 timeouts or longer',
    action: 'look at that machine; it may come back by itself',
    severity: 'warning',
    exit: null,
  },
  E_WORKER_LOST: {
    happened: 'the connection to a worker ended, or it left',
    action: 'none, the others go on with its work; its log says more, and it may come back',
    severity: 'warning',
    exit: null,
  },
  E_STRAGGLER: {
    happened: 'a worker is much slower than the others; the message says why',
    action: 'look at that machine; it gets less work meanwhile',
    severity: 'warning',
    exit: null,
  },
  E_ROLLED_BACK: {
    happened: 'no worker holds the newest state any more; the run went back to an older one',
    action: 'none: the steps are done again, and come out as before',
    severity: 'warning',
    exit: null,
  },
  E_STATE_UNAVAILABLE: {
    happened:
      "cut off: it could not fetch the planned state three times in a row (also the worker's own report of one failure)",
    action: 'check that workers reach each other and the coordinator over HTTP',
    severity: 'error',
    exit: null,
  },
  E_NO_HELLO: {
    happened: 'a connection to `/control` did not say hello in time; it was closed',
    action: 'check what connects to the port',
    severity: 'warning',
    exit: null,
  },
  E_METHOD: {
    happened: 'HTTP 405: not GET or HEAD',
    action: 'use GET',
    severity: 'answer',
    exit: null,
  },
  E_NOT_FOUND: {
    happened: 'HTTP 404: unknown path',
    action: 'use one that the answer lists',
    severity: 'answer',
    exit: null,
  },
  E_HOST_REFUSED: {
    happened:
      "HTTP 403, of the coordinator and of workers: the request is for a host name that is not this server's, as a web page's may be (DNS rebinding). A worker that dials the coordinator by such a name ends",
    action: 'dial by address, or list the name in `--allowed-hosts`',
    severity: 'answer',
    exit: { worker: 3 },
  },
  E_ORIGIN_REFUSED: {
    happened: 'HTTP 403, of the coordinator and of workers: a web page of another site asks',
    action: 'none: a page may not; programs send no `Origin`',
    severity: 'answer',
    exit: null,
  },
} as const satisfies Record<string, ErrorEntry>;
