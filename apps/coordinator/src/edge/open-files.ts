/**
 * Room for connections. Where a process can open no more files, the kernel keeps or drops what dials it, and nobody is told: so
 * connections end before the files do, and the coordinator can still write, and say what it is that it lacks.
 */
import { readFileSync, readdirSync } from 'node:fs';

/** For the ledger, a checkpoint that is written, an evaluation, a state that is fetched. */
const RESERVED = 40;

export interface Room {
  /** Of open files, of this process. */
  readonly limit: number;
  /** As many can be open at a time. */
  readonly connections: number;
}

/** What this process has room for; null where the system sets no limit or does not tell. */
export function roomForConnections(): Room | null {
  try {
    const text = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    if (text === undefined) return null;
    const limit = Number(text);
    return { limit, connections: Math.max(1, limit - readdirSync('/proc/self/fd').length - RESERVED) };
  } catch {
    return null;
  }
}

/** What to say when a connection was refused for lack of room. */
export function noRoom({ limit, connections }: Room): string {
  return `E_OPEN_FILES: a connection was refused, ${connections} are open, and the limit of open files (ulimit -n) is ${limit}; raise it, for each worker needs one`;
}
