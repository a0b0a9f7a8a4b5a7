/** What becomes of a process whose standard output or error nobody takes any more: it goes on. */
import { messageOf, remedyFor, systemCode } from '@lockstep/base';

/** Whoever read it has gone: a pipe's reader (`| head`), a connection's other end, a terminal that was closed. */
const READER_GONE: ReadonlySet<string | undefined> = new Set(['EPIPE', 'ECONNRESET', 'EIO', 'ENXIO']);

export interface OutputStreams {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

/**
 * To be called first in a process: from then on no write to either stream ends it. A reader that has gone is no failure and
 * nothing is said of it. `onLost` is told, once, if standard output cannot be written for another reason, such as a full disk:
 * what the process was started to print is then lost.
 *
 * @returns aborted when nobody reads standard output any more: a command that prints for ever has to end then
 */
export function guardOutput(
  { stdout, stderr }: OutputStreams,
  onLost: (text: string) => void = () => undefined,
): AbortSignal {
  const gone = new AbortController();
  stdout.on('error', (error: unknown) => {
    if (!gone.signal.aborted && !READER_GONE.has(systemCode(error)))
      onLost(
        `E_OUTPUT_WRITE: standard output cannot be written, what was to be printed is lost: ${messageOf(error)}; ${remedyFor(error)}`,
      );
    gone.abort();
  });
  stderr.on('error', () => undefined);
  return gone.signal;
}

/** How commander says that a command line is wrong: with a code, as all that a user sees. Given to `configureOutput`. */
export const usageOutput = {
  outputError: (text: string, write: (text: string) => void): void => write(`E_USAGE: ${text.replace(/^error: /, '')}`),
};
