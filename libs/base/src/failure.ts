/** What a process says of an error that it cannot handle: its stable code, and a sentence. */

export type Failure = { readonly code: string; readonly message: string };

/** Code and message of anything thrown; E_INTERNAL for an error without a code of its own. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'E_INTERNAL';
  // Some errors carry their code in the message too, for those who print the message alone.
  const prefix = `${code}: `;
  return { code, message: message.startsWith(prefix) ? message.slice(prefix.length) : message };
}

/** The same in one line. */
export function failureLine(error: unknown): string {
  const { code, message } = failureOf(error);
  return `${code}: ${message}`;
}
