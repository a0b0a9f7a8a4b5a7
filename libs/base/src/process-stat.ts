/** What Linux says of a process (proc(5), /proc/PID/stat). */
import { readFileSync } from 'node:fs';

/** Linux counts for programs in hundredths of a second, whatever its own clock (time(7), USER_HZ). */
const TICK_MS = 10;

export interface ProcessStat {
  /** One letter: R running, S sleeping, Z over but not asked for its status, X dead, and others. */
  readonly state: string;
  readonly parent: number;
  /** Clock ticks since boot: with the process id it names a process for good. */
  readonly started: string;
  /** Processor time that it has used, of all its threads. */
  readonly cpuMilliseconds: number;
}

/** Null where there is no such process, or nothing is said of it. */
export function processStat(pid: number): ProcessStat | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name (field 2) is in parentheses, and may itself hold spaces and parentheses; the fields after it are counted from 3.
    const [state = '', parent = '', ...others] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Fields 14 and 15, in user mode and in the kernel.
    const ticks = Number(others[9]) + Number(others[10]);
    return { state, parent: Number(parent), started: others[17] ?? '', cpuMilliseconds: ticks * TICK_MS };
  } catch {
    return null;
  }
}
