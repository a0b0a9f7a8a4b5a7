/** What the set-up of a clone ends by. Thrown before anything is built (tools/setup.mjs). */
import { type ErrorEntry } from './entry.js';

export const SETUP_ERRORS = {
  E_SETUP_NODE: {
    happened: 'this version of Node is too old',
    action: 'install the current LTS release of Node',
    severity: 'error',
    exit: 1,
  },
  E_SETUP_PACKAGES: {
    happened: 'npm could not be started, or could not install the packages',
    action: 'read what npm says above it, then run the command that the message names',
    severity: 'error',
    exit: 1,
  },
  E_SETUP_BUILD: {
    happened: 'the build failed',
    action: 'read its errors above, then: `npm run build`',
    severity: 'error',
    exit: 1,
  },
} as const satisfies Record<string, ErrorEntry>;
