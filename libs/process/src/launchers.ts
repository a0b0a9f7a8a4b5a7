/**
 * npm, npx and nx as parents. SIGTERM to npx ends npx and the shell that it started, and nobody tells the program: it would go on
 * unseen. So a program that was started so looks after these parents. Reads /proc, as there is no other way to know a process's age.
 */
import { readFileSync } from 'node:fs';
import { processStat } from '@lockstep/base';

/** More parents than any chain of them has. */
const MOST_PARENTS = 16;
const LOOK_MS = 500;
/** The kernel sends SIGHUP to all of a terminal's processes, but each hears of it in its own time. Looks. */
const LOOKS_UNTIL_GONE = 2;

/** A process as /proc shows it. */
interface Seen {
  readonly pid: number;
  /** In clock ticks since boot: with the pid it names a process for good. */
  readonly started: string;
  readonly parent: number;
  readonly argv: readonly string[];
}

/** What /proc says of a process; null if it is gone. */
function lookAt(pid: number): Seen | null {
  const stat = processStat(pid);
  if (stat === null || stat.state === 'Z') return null;
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split(/[\0 ]/);
    return { pid, parent: stat.parent, started: stat.started, argv };
  } catch {
    return null;
  }
}

const nameOf = (path: string | undefined): string => (path ?? '').split('/').at(-1) ?? '';

function isLauncher(seen: Seen): boolean {
  const { argv } = seen;
  const named = (path: string | undefined): boolean => /^(npm|npx)(-cli\.js)?$/.test(nameOf(path));
  // npm and npx change their title as soon as they run.
  return isNx(seen) || named(argv[0]) || (nameOf(argv[0]) === 'node' && named(argv[1]));
}

/** nx runs a task in a process of its own, by a script of its own. */
function isNx({ argv }: Seen): boolean {
  return nameOf(argv[0]) === 'node' && (nameOf(argv[1]) === 'nx' || argv[1]?.includes('/node_modules/nx/'));
}

function isShell({ argv }: Seen): boolean {
  return ['sh', 'dash', 'bash'].includes(nameOf(argv[0])) && argv[1] === '-c';
}

/** The parents of process `pid` up to the topmost npm, npx or nx, with the shells between; none if it was not started by one. */
export function launchersOf(pid: number): readonly Seen[] {
  const chain: Seen[] = [];
  let top = 0;
  let seen = lookAt(pid);
  while (seen !== null && chain.length < MOST_PARENTS) {
    seen = lookAt(seen.parent);
    if (seen === null) break;
    const launches = isLauncher(seen);
    if (!launches && !isShell(seen)) break;
    chain.push(seen);
    if (launches) top = chain.length;
  }
  return chain.slice(0, top);
}

/**
 * Calls `onGone` once if one of this process's launchers ends while this process lives, unless `hungUp` says that the terminal is what
 * ended it. Returns how to stop looking.
 */
export function watchLaunchers(onGone: () => void, hungUp: () => boolean): () => void {
  const launchers = launchersOf(process.pid);
  if (launchers.length === 0) return () => undefined;
  let looks = 0;
  const timer = setInterval(() => {
    if (launchers.every(({ pid, started }) => lookAt(pid)?.started === started)) return;
    looks += 1;
    if (hungUp()) return clearInterval(timer);
    if (looks < LOOKS_UNTIL_GONE) return;
    clearInterval(timer);
    onGone();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
