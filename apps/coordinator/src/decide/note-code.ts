/** Which notes are warnings, and their codes in the registry of errors: for the log, and for who watches a run. */
import { isErrorCode, type ErrorCode } from '@lockstep/base';
import type { Note } from './state.js';

/** The code of what a person should look at; null where a note is no warning. */
export function warningCode(note: Note): ErrorCode | null {
  switch (note.note) {
    case 'publish-failed':
    case 'evaluation-failed':
    case 'worker-refused':
      return note.code;
    case 'worker-lost':
      return codeWithin(note.reason) ?? 'E_WORKER_LOST';
    case 'worker-admitted':
      return 'E_NUMERICS_CLASS';
    case 'straggler':
      return 'E_STRAGGLER';
    case 'non-finite':
      return 'E_NON_FINITE_GRADIENT';
    case 'contested':
      return 'E_DIVERGED';
    case 'rolled-back':
      return 'E_ROLLED_BACK';
    case 'kept':
      return note.failure === null ? null : (codeWithin(note.failure) ?? 'E_INTERNAL');
    default:
      return null;
  }
}

/** The code that a reason names first. */
function codeWithin(reason: string): ErrorCode | null {
  const code = /\bE_[A-Z_]+/.exec(reason)?.[0];
  return isErrorCode(code) ? code : null;
}
