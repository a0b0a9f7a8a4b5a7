/** For tests: the `lockstep` command as a process of its own. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A command that takes so long hangs, on the slowest machine too. Milliseconds. */
const LIMIT_MS = 20 * 60_000;

export interface Ended {
  /** Null if it was killed. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function lockstep(...args: readonly string[]): Promise<Ended> {
  const main = fileURLToPath(import.meta.resolve('#src/main.js'));
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], { timeout: LIMIT_MS }, (_, stdout, stderr) =>
      resolve({ status: child.exitCode, stdout, stderr }),
    );
  });
}
