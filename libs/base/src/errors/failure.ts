/** What a process says of an error that it cannot handle: its stable code, and a sentence. */
import { isErrorCode, type ErrorCode } from './registry.js';
import { isSystemError, messageOf, systemCode } from './system.js';

export type Failure = { readonly code: ErrorCode; readonly message: string };

/** What there may be more of a little later. */
const RESOURCES: ReadonlySet<string | undefined> = new Set(['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOSPC']);

/** Code and message of anything thrown; of an error that has no code of the registry: E_RESOURCES, E_SYSTEM or E_INTERNAL. */
export function failureOf(error: unknown): Failure {
  const message = messageOf(error);
  const own = error instanceof Error && 'code' in error ? error.code : undefined;
  if (isErrorCode(own)) {
    // A LockstepError's message carries its code too, for those who print the message alone.
    const prefix = `${own}: `;
    return { code: own, message: message.startsWith(prefix) ? message.slice(prefix.length) : message };
  }
  if (!isSystemError(error)) return { code: 'E_INTERNAL', message };
  return { code: RESOURCES.has(systemCode(error)) ? 'E_RESOURCES' : 'E_SYSTEM', message };
}

/** The same in one line: the code, what happened, what to do. */
export function failureLine(error: unknown): string {
  const { code, message } = failureOf(error);
  return `${code}: ${message}`;
}
