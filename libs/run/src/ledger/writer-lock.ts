/**
 * At most one writer: a lock of the kernel's on one file, and a second file that names the holder. The kernel's goes when its
 * holder dies, so who can take it goes on at once, also in a container made anew under another host name. The name is for
 * messages, and decides where the kernel's lock proves nothing (lock-holder.ts says where).
 */
import { basename, dirname } from 'node:path';
import { messageOf, remedyFor, systemCode } from '@lockstep/base';
import { createWhole, nodeFs, randomNonce, TEMP_PREFIX } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import { isLocalFolder } from './file-system-kind.js';
import { lockFile, type KernelLock, type LockAttempt } from './kernel-lock.js';
import { holderExists, judgeHolder, ownHolder, parseHolder, type LockHolder } from './lock-holder.js';

/** Another writer may take the lock between our look and our take-over; after so many rounds it is simply busy. */
const MAX_ATTEMPTS = 5;
/**
 * A holder that was killed leaves the kernel's lock some milliseconds later, when its helper sees its input end; a busy machine may
 * need longer. So long nobody is refused whose predecessor is not known to live.
 */
const LET_GO_SECONDS = 5;
/** Beside the file that names the holder: never removed, as two files of one name would be two locks. */
const KERNEL_SUFFIX = '.kernel';

export interface WriterLockOptions {
  /** Also from a holder of whom nothing can be proved. Never from one that lives. */
  readonly takeOver?: boolean;
  readonly warn?: (text: string) => void;
}

/**
 * Takes the lock at `path` for this process.
 * @throws CheckpointError E_LEDGER_LOCKED when a process (this one included) holds it that lives, or may live; E_LEDGER_WRITE on I/O errors.
 */
export async function takeWriterLock(path: string, options: WriterLockOptions = {}): Promise<WriterLock> {
  const lock = new WriterLock(path, options);
  try {
    await lock.take();
    return lock;
  } catch (error) {
    await lock.release();
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(
      'E_LEDGER_WRITE',
      `the lock file ${path} cannot be written: ${messageOf(error)}; ${remedyFor(error)}.`,
      { cause: error },
    );
  }
}

export class WriterLock {
  private kernel: KernelLock | null = null;
  /** What is written in the file at `path` by this process; null while there is nothing. */
  private written: string | null = null;
  private released = false;
  private loss: CheckpointError | null = null;
  private regaining: Promise<void> | null = null;

  constructor(
    private readonly path: string,
    private readonly options: WriterLockOptions,
  ) {}

  /** A try to get back the kernel's lock, whose helper was killed; null if there is none. */
  get pending(): Promise<void> | null {
    return this.regaining;
  }

  /** @throws CheckpointError E_LEDGER_LOCK_LOST if another process may write by now. */
  assertHeld(): void {
    if (this.loss !== null) throw this.loss;
  }

  /** Once, by takeWriterLock. */
  async take(): Promise<void> {
    const { path, options } = this;
    const before = await readLock(path);
    const attempt = await this.lockKernel(mayLive(before) ? 0 : LET_GO_SECONDS);
    if (attempt.kind === 'busy') throw lockedBy(path, await readLock(path));
    if (attempt.kind === 'unavailable')
      options.warn?.(
        `the ledger is locked by a file alone, as the system's locks cannot be had (${attempt.reason}); install flock of util-linux`,
      );
    const locked = attempt.kind === 'locked';
    const text = JSON.stringify(ownHolder(locked));
    const folder = dirname(path);
    for (let round = 0; round < MAX_ATTEMPTS; round += 1) {
      if (await createWhole(nodeFs, folder, basename(path), [Buffer.from(text, 'utf8')], randomNonce())) {
        this.written = text;
        return;
      }
      const found = await readLock(path);
      if (found === undefined) continue;
      await this.judge(found, locked);
      await removeStale(path, found);
    }
    throw new CheckpointError('E_LEDGER_LOCKED', `other processes keep taking ${path}; stop them and try again.`);
  }

  /** Gives both up; a second call is fine. */
  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    await this.regaining;
    // After a loss the file is another's.
    if (this.written !== null && (await readLock(this.path)) === this.written) await nodeFs.remove(this.path);
    await this.kernel?.release();
  }

  /** @throws CheckpointError E_LEDGER_LOCKED unless the holder is dead, or may be taken for dead. */
  private async judge(found: string, locked: boolean): Promise<void> {
    const holder = parseHolder(found);
    const own = ownHolder(locked);
    const exists = holder !== null && holderExists(holder);
    const local = await isLocalFolder(dirname(this.path));
    const verdict = judgeHolder({ holder, own, locked, local, exists });
    if (verdict === 'dead') return;
    if (verdict === 'alive') throw lockedBy(this.path, found);
    if (this.options.takeOver !== true) throw unprovedBy(this.path, holder);
    this.options.warn?.(`the ledger is taken over from ${nameOf(holder)}, of whom it cannot be proved that it is dead`);
  }

  private async lockKernel(waitSeconds: number): Promise<LockAttempt> {
    const onLost = (): void => {
      this.regaining = this.regain()
        .catch((error: unknown) => this.lose(messageOf(error)))
        .finally(() => (this.regaining = null));
    };
    const attempt = await lockFile(this.path + KERNEL_SUFFIX, { waitSeconds, onLost });
    this.kernel = attempt.kind === 'locked' ? attempt.lock : null;
    return attempt;
  }

  /** The helper was killed: whoever came meanwhile has the ledger, else this process has it again. */
  private async regain(): Promise<void> {
    if (this.released) return;
    const attempt = await this.lockKernel(0);
    const ours = attempt.kind === 'locked' && (await readLock(this.path)) === this.written;
    if (ours) {
      this.options.warn?.('the process that holds the lock of the ledger was killed; the lock is held again');
      return;
    }
    this.lose(attempt.kind === 'unavailable' ? attempt.reason : 'another process has it now');
  }

  private lose(why: string): void {
    this.loss = new CheckpointError(
      'E_LEDGER_LOCK_LOST',
      `the process that held the lock of the ledger was killed, and the lock cannot be had again: ${why}; ` +
        'see that one coordinator alone runs, and resume.',
    );
  }
}

async function readLock(path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await nodeFs.read(path)).toString('utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Moves the stale lock aside, and back if it is not the one that was judged: another writer was quicker. */
async function removeStale(path: string, judged: string): Promise<void> {
  const aside = `${dirname(path)}/${TEMP_PREFIX}${basename(path)}-${randomNonce()}`;
  try {
    await nodeFs.rename(path, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  if ((await readLock(aside)) !== judged) await nodeFs.link(aside, path);
  await nodeFs.remove(aside);
}

/** Whether the file names a process that is seen on this host: nobody waits for that one to let go. */
function mayLive(text: string | undefined): boolean {
  const holder = text === undefined ? null : parseHolder(text);
  return holder !== null && holder.host === ownHolder(false).host && holderExists(holder);
}

function nameOf(holder: LockHolder | null): string {
  return holder === null
    ? 'a process that its lock file does not name'
    : `process ${holder.pid} on host ${holder.host}`;
}

function lockedBy(path: string, text: string | undefined): CheckpointError {
  const holder = text === undefined ? null : parseHolder(text);
  const who = holder === null ? 'another process' : nameOf(holder);
  return new CheckpointError('E_LEDGER_LOCKED', `${who} writes this ledger (${path}); stop it first.`);
}

function unprovedBy(path: string, holder: LockHolder | null): CheckpointError {
  return new CheckpointError(
    'E_LEDGER_LOCKED',
    holder === null
      ? `the lock file ${path} is damaged; if no coordinator writes this ledger, start with --take-over.`
      : `${nameOf(holder)} may write this ledger (${path}), which cannot be seen from here; stop it first. If it is gone for certain, start with --take-over.`,
  );
}
