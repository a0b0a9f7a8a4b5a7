/** What the coordinator told of a run, over all its lives, and what can be read from it.
 * `at` is when it came, in ms of this process's clock that never goes back: those of the processes may be set by a fault.
 */
import { z } from 'zod';

/** What a coordinator process says over its channel; only what is read here is checked. */
export const channelSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening'), port: z.number() }),
  z.object({ kind: z.literal('told'), text: z.string() }),
  z.object({ kind: z.literal('fatal'), text: z.string() }),
  z.object({
    kind: z.literal('report'),
    report: z.object({
      /** By the coordinator's wall clock, ms since the epoch. */
      at: z.number(),
      note: z.looseObject({
        note: z.string(),
        step: z.number().optional(),
        generation: z.number().optional(),
        redone: z.boolean().optional(),
        worker: z.string().optional(),
        code: z.string().optional(),
        reason: z.string().optional(),
        outcome: z.object({ kind: z.string(), code: z.string(), reason: z.string() }).optional(),
      }),
      status: z.object({
        step: z.number(),
        generation: z.number(),
        workers: z.array(z.object({ id: z.string(), inRing: z.boolean() })),
      }),
    }),
  }),
]);
/** As the coordinator tells it. */
export type Told = Extract<z.infer<typeof channelSchema>, { kind: 'report' }>['report'];

export interface Report extends Omit<Told, 'at'> {
  readonly at: number;
  /** By the coordinator's wall clock, ms since the epoch. */
  readonly wallAt: number;
}

export interface Commit {
  readonly at: number;
  readonly step: number;
  readonly generation: number;
  /** The ledger held this step already. */
  readonly redone: boolean;
}

export class Timeline {
  readonly reports: Report[] = [];

  /** Takes in what was told at `at`, by this process's clock. */
  add({ at: wallAt, note, status }: Told, at: number): void {
    this.reports.push({ at, wallAt, note, status });
  }

  get last(): Report | undefined {
    return this.reports.at(-1);
  }

  commits(): Commit[] {
    return this.reports.flatMap(({ at, note: { note, step, generation, redone } }) =>
      note === 'committed' && step !== undefined && generation !== undefined
        ? [{ at, step, generation, redone: redone === true }]
        : [],
    );
  }

  /** First report from `since` on that `matches`. */
  find(since: number, matches: (note: Report['note']) => boolean): Report | undefined {
    return this.reports.find(({ at, note }) => at >= since && matches(note));
  }

  /** First commit from `since` on of a step that was not in the ledger yet, in a generation above `generation`. */
  newCommit(since: number, generation = -1): Commit | undefined {
    return this.commits().find((commit) => commit.at >= since && !commit.redone && commit.generation > generation);
  }

  /** Steps that were committed, lost and done again. */
  redone(): number[] {
    return this.commits().flatMap(({ step, redone }) => (redone ? [step] : []));
  }

  /** Seconds between one commit and the next, for the commits from `from` to `to`. */
  gaps(from: number, to: number): number[] {
    const times = this.commits().flatMap(({ at }) => (at >= from && at <= to ? [at] : []));
    return times.slice(1).map((at, index) => (at - (times[index] ?? at)) / 1000);
  }
}

/** The middle value; the mean of the two in the middle of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}
