/** What keeps a program of this clone from being started. Thrown before anything is built (apps/cli/bin/failure.mjs). */
import { type ErrorEntry } from './entry.js';

export const START_ERRORS = {
  E_NOT_BUILT: {
    happened: 'the output that the message names is not there, and nobody builds',
    action: '`npm run setup`',
    severity: 'error',
    exit: 1,
  },
  E_PACKAGES_MISSING: {
    happened: "npm's record of installed packages is not there, and nobody installs",
    action: '`npm run setup`',
    severity: 'error',
    exit: 1,
  },
  E_BUILD_CHANGING: {
    happened: 'a build or installation in the clone did not end within ten minutes',
    action: 'wait for the process that the message names, or end it',
    severity: 'error',
    exit: 1,
  },
  E_BUILD_COPY: {
    happened: 'no copy of the build could be made; what is started runs from the clone itself',
    action: 'do not build in the clone meanwhile; mend what the message names',
    severity: 'warning',
    exit: null,
  },
  E_BUILD_GONE: {
    happened:
      'the copy of the build that is run was deleted (`git clean -fdx`); `up` says it where a worker or coordinator cannot be replaced',
    action: 'as the message says; a run goes on with `--resume`',
    severity: 'error',
    exit: 1,
  },
  E_OPEN_FILES: {
    happened:
      'the limit of open files is too low, which was tried; of the coordinator: it leaves no room for another connection, and the run goes on with the workers that it has',
    action:
      'raise it: `ulimit -n 4096`, `LimitNOFILE=` of a systemd unit; each worker needs one file of the coordinator',
    severity: 'error',
    exit: 1,
    when: 'at its start',
  },
} as const satisfies Record<string, ErrorEntry>;
