/**
 * A lock on a file that the kernel drops when its holder dies, however it dies and whatever host and process id it had.
 *
 * Node cannot lock files. util-linux' flock(1) can: it takes the lock and runs `cat`, which lives until its input ends, and that is
 * a pipe from this process. The helper has a session of its own, so that a terminal's Ctrl-C or hang-up does not end it before us.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { messageOf } from '@lockstep/base';

/** What flock is told to exit with where another process has the lock; no error of its own has this number. */
const BUSY_STATUS = 75;
/** systemd and Slurm send their signals to every process at once. What is ignored stays so in what a shell becomes, and starts. */
const UNIMPRESSED = 'trap "" HUP INT TERM USR1 USR2 XCPU; exec flock "$@"';
/** Its error is a line. */
const MAX_ERROR_TEXT = 500;
/** cat sends back what it is sent, so this comes when the lock is ours. */
const GREETING = 'locked\n';

export interface KernelLock {
  /** Resolves when others can take it. A second call is fine. */
  release(): Promise<void>;
}

/** `unavailable`: there is no flock(1) here, or the file system does not know its locks. */
export type LockAttempt =
  | { readonly kind: 'locked'; readonly lock: KernelLock }
  | { readonly kind: 'busy' }
  | { readonly kind: 'unavailable'; readonly reason: string };

export interface LockOptions {
  /** How long to wait for another to let go. */
  readonly waitSeconds: number;
  /** The lock is gone, and free for others, though nobody released it: the helper was killed. */
  readonly onLost: () => void;
}

/** Locks the file at `path`, which is created where it is missing, and never removed. */
export async function lockFile(path: string, { waitSeconds, onLost }: LockOptions): Promise<LockAttempt> {
  const wait = waitSeconds > 0 ? ['-w', String(waitSeconds)] : ['-n'];
  const flock = [...wait, '-E', String(BUSY_STATUS), path, 'cat'];
  const helper = spawn('sh', ['-c', UNIMPRESSED, 'flock', ...flock], { detached: true, stdio: 'pipe' });
  let problem = '';
  helper.stderr.setEncoding('utf8').on('data', (text: string) => (problem = (problem + text).slice(0, MAX_ERROR_TEXT)));
  // Where it ends without reading, its status says why.
  helper.stdin.on('error', () => undefined);
  helper.stdin.write(GREETING);
  const closed = new Promise<string>((resolve) => {
    helper.on('error', (error) => resolve(messageOf(error)));
    helper.on('close', (status, signal) => resolve(String(status ?? signal)));
  });
  const answered = once(helper.stdout, 'data').then(() => null);
  const end = await Promise.race([answered, closed]);
  if (end === null) return { kind: 'locked', lock: held(helper, closed, onLost) };
  if (end === String(BUSY_STATUS)) return { kind: 'busy' };
  return { kind: 'unavailable', reason: problem.trim() || `flock: ${end}` };
}

function held(helper: ChildProcessWithoutNullStreams, closed: Promise<unknown>, onLost: () => void): KernelLock {
  let released = false;
  // Whoever forgets to release it ends all the same, and the helper with it.
  const handles = [helper, ...[helper.stdin, helper.stdout, helper.stderr].filter((pipe) => pipe instanceof Socket)];
  for (const handle of handles) handle.unref();
  // Only flock may have been killed: then cat lives on, and keeps the lock until its input ends.
  helper.once('exit', () => helper.stdin.destroy());
  void closed.then(() => {
    if (!released) onLost();
  });
  return {
    async release() {
      released = true;
      for (const handle of handles) handle.ref();
      helper.stdin.end();
      await closed;
    },
  };
}
