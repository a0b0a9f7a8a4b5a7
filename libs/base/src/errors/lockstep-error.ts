import type { ErrorCode } from './registry.js';

/**
 * An expected failure: a code of the registry, and what happened and what to do. `message` begins with the code, for those who
 * print it alone, as Node does; `text` is what follows.
 *
 * Subclasses exist only where errors are caught by kind, or carry more.
 */
export class LockstepError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name: string = 'LockstepError';

  constructor(
    readonly code: Code,
    readonly text: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${text}`, options);
  }
}
