/** What Linux says of a process (proc(5), /proc/PID/stat). */
import { readFileSync } from 'node:fs';

export interface ProcessStat {
  /** One letter: R running, S sleeping, Z over but not asked for its status, X dead, and others. */
  readonly state: string;
  readonly parent: number;
  /** Clock ticks since boot: with the process id it names a process for good. */
  readonly started: string;
}

/** Null where there is no such process, or nothing is said of it. */
export function processStat(pid: number): ProcessStat | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name (field 2) is in parentheses, and may itself hold spaces and parentheses; the fields after it are counted from 3.
    const [state = '', parent = '', ...others] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state, parent: Number(parent), started: others[17] ?? '' };
  } catch {
    return null;
  }
}
