/** Variables of the environment that stand for an argument of a command, before any config is loaded. */

type Environment = Readonly<Record<string, string | undefined>>;

/** The directory of the run that is meant where none is named. */
export function runDirectoryIn(env: Environment): string {
  return env['LOCKSTEP_OUT'] ?? 'runs/default';
}

/** What is computed on where nothing is said: the value is checked by whoever takes the argument. */
export function deviceIn(env: Environment): string {
  return env['LOCKSTEP_DEVICE'] ?? 'cpu';
}

/** GPUs that CUDA shows to a process, as the variable says it; null: all of them. */
export function shownGpus(env: Environment): string | null {
  return env['CUDA_VISIBLE_DEVICES'] ?? null;
}
