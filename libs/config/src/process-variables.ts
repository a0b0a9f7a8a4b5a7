/** Variables of the environment that stand for an argument of a command, before any config is loaded. */
import { cacheDirectory } from './cache-directory.mjs';

type Environment = Readonly<Record<string, string | undefined>>;

/** The directory of the run that is meant where none is named. */
export function runDirectoryIn(env: Environment): string {
  return env['LOCKSTEP_OUT'] ?? 'runs/default';
}

/** What is computed on where nothing is said: the value is checked by whoever takes the argument. */
export function deviceIn(env: Environment): string {
  return env['LOCKSTEP_DEVICE'] ?? 'cpu';
}

/** The kernels that programs use, as the worker's key of that name; undefined: the fastest. The value is checked by whoever loads them. */
export function kernelsIn(env: Environment): string | undefined {
  const named = env['LOCKSTEP_KERNELS'];
  return named === 'fastest' ? undefined : named;
}

/** GPUs that CUDA shows to a process, as the variable says it; null: all of them. */
export function shownGpus(env: Environment): string | null {
  return env['CUDA_VISIBLE_DEVICES'] ?? null;
}

/** Whether the terminal knows no codes by which what is written can be written over. */
export function isDumbTerminal(env: Environment): boolean {
  return env['TERM'] === 'dumb';
}

/** The folder of the engine and of what else outlives node_modules: whoever keeps something there makes it. */
export function cacheDirectoryIn(env: Environment): string {
  return cacheDirectory(env);
}
