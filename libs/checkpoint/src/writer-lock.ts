/**
 * At most one writer: a lock file that names its holder. A holder that is gone leaves a stale lock, which the next writer
 * takes over. Gone means: same host, and no process of that id, or another one (start times differ: in a container the
 * process id is the same after every restart). A lock of another host cannot be judged from here and stands.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { createWhole, nodeFs, randomNonce, TEMP_PREFIX } from './durable-fs.js';
import { CheckpointError, messageOf, systemCode } from './errors.js';

/** Another writer may take the lock between our look and our take-over; after so many rounds it is simply busy. */
const MAX_ATTEMPTS = 5;

const holderSchema = z.strictObject({
  host: z.string(),
  pid: z.int().positive(),
  /** Boot id and start time in clock ticks; empty where the system does not tell. */
  started: z.string(),
});

export type LockHolder = z.infer<typeof holderSchema>;

export type WriterLock = { release(): Promise<void> };

/**
 * Takes the lock file at `path` for this process.
 * @throws CheckpointError E_LEDGER_LOCKED when a living process (this one included) holds it; E_LEDGER_WRITE on I/O errors.
 */
export async function takeWriterLock(path: string): Promise<WriterLock> {
  const own: LockHolder = { host: hostname(), pid: process.pid, started: startOf(process.pid) };
  const text = JSON.stringify(own);
  try {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const taken = await createWhole(
        nodeFs,
        dirname(path),
        basename(path),
        [Buffer.from(text, 'utf8')],
        randomNonce(),
      );
      if (taken) return { release: () => nodeFs.remove(path) };
      const found = await readLock(path);
      if (found === undefined) continue;
      if (isAlive(path, found, own)) throw lockedBy(path, found);
      await removeStale(path, found);
    }
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(
      'E_LEDGER_WRITE',
      `the lock file ${path} cannot be written: ${messageOf(error)}; check space and permissions.`,
      { cause: error },
    );
  }
  throw new CheckpointError('E_LEDGER_LOCKED', `other processes keep taking ${path}; stop them and try again.`);
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

function parseHolder(text: string): LockHolder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function isAlive(path: string, text: string, own: LockHolder): boolean {
  const holder = parseHolder(text);
  if (!holder)
    throw new CheckpointError(
      'E_LEDGER_LOCKED',
      `the lock file ${path} is damaged; if no coordinator writes this ledger, delete the file.`,
    );
  if (holder.host !== own.host) return true;
  if (!processExists(holder.pid)) return false;
  const started = startOf(holder.pid);
  return holder.started === '' || started === '' || holder.started === started;
}

function lockedBy(path: string, text: string): CheckpointError {
  const holder = parseHolder(text);
  const who = holder ? `process ${holder.pid} on host ${holder.host}` : 'another process';
  return new CheckpointError(
    'E_LEDGER_LOCKED',
    `${who} writes this ledger; stop it first. If it is gone for certain, delete ${path}.`,
  );
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: there is such a process, of another user.
    return systemCode(error) === 'EPERM';
  }
}

/** What tells a process from a later one of the same id (proc(5): field 22 of stat is the start time since boot). */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name (field 2) is in parentheses and may itself hold spaces and parentheses.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${ticks}`;
  } catch {
    return '';
  }
}
