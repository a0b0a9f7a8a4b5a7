/** When a child process has ended, and how. */
import type { ChildProcess } from 'node:child_process';

export interface ChildEnd {
  /** Exit status; null if it was killed, or never ran. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it never ran; null if it did. */
  readonly unstarted: Error | null;
}

/** Calls `ended` once, after the child's last message. For a child that has a channel. */
export function onceEnded(child: ChildProcess, ended: (end: ChildEnd) => void): void {
  // Node tells the end of the process and the end of the channel in either order; of a child that never ran, neither.
  child.on('error', (error) => {
    if (child.pid === undefined) ended({ status: null, signal: null, unstarted: error });
  });
  child.once('exit', (status, signal) => {
    const tell = (): void => void setImmediate(() => ended({ status, signal, unstarted: null }));
    if (child.connected) child.once('disconnect', tell);
    else tell();
  });
}

/** How it ended, after its name. `said`: its own words of it. */
export function describeEnd({ status, signal, unstarted }: ChildEnd, said: string | null): string {
  if (unstarted !== null) return `could not be started: ${unstarted.message}`;
  if (signal !== null) return `was killed by ${signal}`;
  return `ended with status ${status ?? '?'}${said === null ? '' : `: ${said}`}`;
}
