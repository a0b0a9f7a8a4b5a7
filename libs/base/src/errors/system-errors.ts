/** What no part of Lockstep has a code of its own for. */
import { type ErrorEntry } from './entry.js';

export const SYSTEM_ERRORS = {
  E_INTERNAL: {
    happened:
      'an error without a code of its own, or a defect; of a coordinator, also one by which ledger or last checkpoint failed',
    action: 'read the message; report it as a bug, of `up` with `logs/up.log`, and go on by `--resume`',
    severity: 'error',
    exit: 1,
  },
  E_SYSTEM: {
    happened:
      'the operating system refused a call that no part has a code of its own for; the message begins with its own code, such as ENOENT',
    action: 'as that says: check path and permissions',
    severity: 'error',
    exit: 1,
  },
  E_RESOURCES: {
    happened:
      'the operating system has no more processes, open files, memory or disk space for a call (EAGAIN, EMFILE, ENFILE, ENOMEM, ENOSPC)',
    action: 'free some, or raise the limit; `lockstep up` starts a worker that ended by it again',
    severity: 'error',
    exit: 1,
  },
} as const satisfies Record<string, ErrorEntry>;
