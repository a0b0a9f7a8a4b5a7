/** What the registry says of one error. */

/** What each severity means. */
export const SEVERITIES = {
  error: 'what was asked for ends, or cannot be had',
  refusal: 'the coordinator turns a worker away, and the run goes on without it',
  warning: 'the run, or the command, goes on',
  answer: 'the answer to an HTTP request',
} as const;

export type Severity = keyof typeof SEVERITIES;

/** `lockstep` is every command of it, and the sampler as a process. */
export type Program = 'lockstep' | 'coordinator' | 'worker';

/** 1 failed, 2 called wrongly (the shell's convention), 3 refused by the coordinator, 4 found no coordinator for too long. */
export type ExitStatus = 1 | 2 | 3 | 4;

/** Exit statuses that say more than that something failed. */
export const EXIT = { usage: 2, refused: 3, unreachable: 4 } as const satisfies Record<string, ExitStatus>;

export interface ErrorEntry {
  /** What happened: a clause, in Markdown of one line. */
  readonly happened: string;
  /** What to do about it, in the same form. */
  readonly action: string;
  readonly severity: Severity;
  /** Status of the program that ends by it, of each where they differ; null: by itself it ends none. */
  readonly exit: ExitStatus | Partial<Record<Program, ExitStatus>> | null;
  /** When a program ends by it, where it does not always: words to stand in brackets behind the status. */
  readonly when?: string;
}

/** Of what a user of the command asked wrongly for, and a coordinator or worker may find later. */
export const USAGE = { lockstep: 2, coordinator: 1, worker: 1 } as const satisfies ErrorEntry['exit'];
