/** What a worker ends by, or reports. */
import { type ErrorEntry } from './entry.js';

export const WORKER_ERRORS = {
  E_COORDINATOR_UNREACHABLE: {
    happened: 'no coordinator for 120 heartbeat timeouts',
    action: 'check that it runs and that the address is right',
    severity: 'error',
    exit: { worker: 4 },
  },
  E_COORDINATOR_LOST: {
    happened: 'the connection to the coordinator ended; the worker dials again',
    action: 'none if the coordinator comes back; else read its log',
    severity: 'warning',
    exit: null,
  },
  E_COORDINATOR_SILENT: {
    happened: 'nothing heard for the timeout; the worker connects anew',
    action: 'none if rare; else look at network and load',
    severity: 'warning',
    exit: null,
  },
  E_COMPUTE_THREAD: {
    happened: 'the compute thread died',
    action: 'read the stack in the message; check memory',
    severity: 'error',
    exit: { worker: 1 },
  },
  E_STATE_CORRUPT: {
    happened: 'weights, state or a gradient at rest changed in memory',
    action: "test that machine's memory; `lockstep up` starts another worker",
    severity: 'error',
    exit: { worker: 1 },
  },
  E_STATE_OUTDATED: {
    happened: 'a state was fetched, but a newer plan does not start from it',
    action: 'none; the newer plan follows',
    severity: 'warning',
    exit: null,
  },
  E_STATE_NOT_HELD: {
    happened: 'HTTP 404: the worker does not hold that state',
    action: 'ask for the step named in `held`, or another source',
    severity: 'answer',
    exit: null,
  },
} as const satisfies Record<string, ErrorEntry>;
