/** How many workers `lockstep up` starts, and of how many threads: what was asked for, else what this machine's processors are for. */

export type LocalWorkers = { readonly workers: number; readonly threads: number };

export type WorkerChoice = {
  /** As asked for; null: to be chosen. */
  readonly workers: number | null;
  readonly threads: number | null;
  /** So many must have joined before a step begins. */
  readonly minWorkers: number;
  /** Of a step: more workers would have nothing to do. */
  readonly microbatches: number;
  /** That this process may use. */
  readonly processors: number;
  /** Of which each worker needs one; null where workers compute on processors. */
  readonly gpus: number | null;
};

/**
 * Processors go to workers first, as far as there are microbatches for them, and then to threads of each: a worker computes its
 * microbatches without waiting for others, while threads wait for each other after every instruction (docs/results/performance.md has
 * both). Threads change no bit of a program.
 */
export function localWorkers(choice: WorkerChoice): LocalWorkers {
  const { minWorkers, microbatches, processors, gpus } = choice;
  const places = gpus ?? Math.max(1, Math.floor(processors / (choice.threads ?? 1)));
  const workers = choice.workers ?? Math.max(minWorkers, Math.min(places, microbatches));
  const threads = choice.threads ?? (gpus === null ? Math.max(1, Math.floor(processors / workers)) : 1);
  return { workers, threads };
}

/** What was chosen, for a person; null where all was asked for. */
export function describeWorkers(choice: WorkerChoice, { workers, threads }: LocalWorkers): string | null {
  if (choice.workers !== null && choice.threads !== null) return null;
  const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
  const place = choice.gpus === null ? counted(choice.processors, 'processor') : counted(choice.gpus, 'GPU');
  return `${counted(workers, 'worker')} of ${counted(threads, 'thread')}, for ${place} and ${counted(choice.microbatches, 'microbatch').replace(/hs$/, 'hes')} a step`;
}
