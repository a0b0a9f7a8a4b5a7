/** What the command line refuses or finds. */
import { type ErrorEntry } from './entry.js';

export const CLI_ERRORS = {
  E_RUN_EXISTS: {
    happened: 'the directory holds a run and `--resume` was not given',
    action: 'add `--resume`, or choose another `--out`',
    severity: 'error',
    exit: 2,
  },
  E_NOTHING_TO_RESUME: {
    happened: '`--resume`, but there is no run',
    action: 'leave `--resume` out, or check the path',
    severity: 'error',
    exit: 2,
  },
  E_TRACE_FILE: {
    happened: 'the file that `--trace` names cannot be written',
    action: 'name another file',
    severity: 'error',
    exit: 2,
  },
  E_NO_CHECKPOINT: {
    happened: '`lockstep digest`: no whole checkpoint',
    action: 'train first',
    severity: 'error',
    exit: 2,
  },
  E_PROCESS_LOST: {
    happened: 'the coordinator or a worker was killed, or ended without a word; it is started again some times',
    action: 'read the log that the line names',
    severity: 'error',
    exit: 1,
    when: 'if the coordinator or all workers are lost for good',
  },
  E_LOG_WRITE: {
    happened: 'a file in `logs/` cannot be written; what belongs there is lost, the run goes on',
    action: 'mend what the message says; it is tried again every 30 s',
    severity: 'warning',
    exit: null,
  },
  E_STATUS_ADDRESS: {
    happened: '`lockstep status`: not an address, or a directory without a run and an address',
    action: 'write http://host:port, or check the path',
    severity: 'error',
    exit: 2,
  },
  E_STATUS_UNREACHABLE: {
    happened: 'no coordinator answers, and the run is not complete as far as is known',
    action: '`lockstep up --resume`, or another address',
    severity: 'error',
    exit: 1,
  },
  E_STATUS_FORMAT: {
    happened: 'what answers is no coordinator of this version',
    action: 'check the address; run one version everywhere',
    severity: 'error',
    exit: 1,
  },
  E_VERIFY_CHAIN: {
    happened: 'the ledger is damaged, an entry is missing or was changed',
    action: 'restore it from a copy; without it nothing is proved',
    severity: 'error',
    exit: 1,
  },
  E_VERIFY_ORIGIN: {
    happened: '`run.json` and ledger name different states that the run starts from, or that state is not in `origin/`',
    action: 'restore the folder from one copy',
    severity: 'error',
    exit: 1,
  },
  E_VERIFY_SAMPLES: {
    happened: 'a step used other samples than the seed gives it, or a sample was used twice or not at all',
    action: 'do not trust the run; check that `run.json` is its own',
    severity: 'error',
    exit: 1,
  },
  E_VERIFY_SKIPPED: {
    happened: 'a step that was skipped changed the state',
    action: 'do not trust the run from that step on',
    severity: 'error',
    exit: 1,
  },
  E_VERIFY_CHECKPOINT: {
    happened: 'a checkpoint is of another run, or not the state that the ledger names',
    action: 'use another checkpoint',
    severity: 'error',
    exit: 1,
  },
  E_VERIFY_CHANGED: {
    happened: 'the run went back to an earlier step while it was read',
    action: 'verify it again',
    severity: 'error',
    exit: 1,
  },
  E_REPLAY_STEP: {
    happened: '`lockstep replay`: the run has not come to that step',
    action: 'name one up to the step after the last committed one',
    severity: 'error',
    exit: 2,
  },
  E_REPLAY_MICROBATCH: {
    happened: 'a step has no such microbatch',
    action: 'name one that the message allows',
    severity: 'error',
    exit: 2,
  },
  E_REPLAY_RECIPE: {
    happened: "this version builds another recipe than the run's",
    action: 'replay with the version that made the run',
    severity: 'error',
    exit: 1,
  },
  E_REPLAY_DIGEST: {
    happened: 'a step done again gave another state than the ledger has',
    action: "replay on an engine of the run's class (the message says what differs); check memory",
    severity: 'error',
    exit: 1,
  },
  E_REPLAY_WRITE: {
    happened: 'the file of `--out` cannot be written',
    action: 'check space and permissions',
    severity: 'error',
    exit: 1,
  },
  E_USAGE: {
    happened: 'the command, an option or an argument is not one that the program knows',
    action: 'see --help of that command',
    severity: 'error',
    exit: 2,
  },
} as const satisfies Record<string, ErrorEntry>;
