/** Who holds the writer's lock, as its file says, and whether that process still lives: a judgement, and what it is made from. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { processStat, systemCode } from '@lockstep/base';

const holderSchema = z.strictObject({
  host: z.string(),
  pid: z.int().positive(),
  /** Boot id and start time in clock ticks; empty where the system does not tell. */
  started: z.string(),
  /** It held the kernel's lock too (kernel-lock.ts). Missing in files of older versions. */
  kernel: z.boolean().optional(),
});

export type LockHolder = z.infer<typeof holderSchema>;

/** What can be known of a holder from here. */
export type Evidence = {
  /** What the file says; null if it is damaged. */
  readonly holder: LockHolder | null;
  readonly own: LockHolder;
  /** This process has the kernel's lock now. */
  readonly locked: boolean;
  /** The file system is of this machine, so nobody elsewhere can have a kernel's lock on it. */
  readonly local: boolean;
  /** Whether this host has a process of the holder's id and start time. */
  readonly exists: boolean;
};

/** `unproved`: it may live, on a machine that cannot be asked. */
export type Verdict = 'dead' | 'alive' | 'unproved';

/**
 * Whether the holder lives. A kernel's lock that could be taken proves that whoever had it is gone, whatever its names and numbers, if
 * the two kernels are one or the file system is of one machine. Otherwise process id and start time tell, on the same host.
 */
export function judgeHolder({ holder, own, locked, local, exists }: Evidence): Verdict {
  if (holder === null) return 'unproved';
  if (locked && holder.kernel === true && (local || isSameBoot(holder, own))) return 'dead';
  if (holder.host !== own.host) return 'unproved';
  return exists ? 'alive' : 'dead';
}

function isSameBoot(holder: LockHolder, own: LockHolder): boolean {
  const boot = bootOf(own);
  return boot !== '' && bootOf(holder) === boot;
}

function bootOf({ started }: LockHolder): string {
  return started.split('/')[0] ?? '';
}

/** This process as a holder. */
export function ownHolder(kernel: boolean): LockHolder {
  return { host: hostname(), pid: process.pid, started: startOf(process.pid), kernel };
}

/** The holder that a lock file names; null if it names none. */
export function parseHolder(text: string): LockHolder | null {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Whether this host has the process: of this id, not merely waiting to be reaped, and begun when the holder was. */
export function holderExists({ pid, started }: LockHolder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: there is such a process, of another user.
    if (systemCode(error) !== 'EPERM') return false;
  }
  const now = startOf(pid);
  if (now === ZOMBIE) return false;
  return started === '' || now === '' || started === now;
}

const ZOMBIE = 'zombie';

/**
 * What tells a process from a later one of the same id (proc(5): field 22 of stat is the start time since boot). ZOMBIE for one
 * that is over, but whose parent has not asked for its status: as in a container without an init. Empty where nothing tells.
 */
function startOf(pid: number): string {
  const stat = processStat(pid);
  if (stat === null) return '';
  if (stat.state === 'Z' || stat.state === 'X') return ZOMBIE;
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${stat.started}`;
  } catch {
    return '';
  }
}
