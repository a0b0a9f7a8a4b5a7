/**
 * The one shape of a benchmark's result. A part's script prints {machine, bench, rows, notes?, ...details} as JSON on stdout; details are
 * the part's own (times of the step's parts, points of a curve), rows are what goes into the table and is held against a goal.
 */
import { z } from 'zod';
import { describeMachine } from './machine.js';
import { figuresSchema, type Figures } from './summary.js';

const goalSchema = z
  .object({
    /** What the median is taken of. */
    of: z.enum(['ratio', 'ours']),
    atMost: z.number().optional(),
    atLeast: z.number().optional(),
  })
  .refine(({ atMost, atLeast }) => (atMost === undefined) !== (atLeast === undefined), 'neither atMost nor atLeast');

const rowSchema = z.object({
  /** What was measured, in what. */
  name: z.string(),
  unit: z.string(),
  /** Lockstep's. */
  ours: figuresSchema,
  /** Null: there is no peer, or it was not there. */
  peer: z.object({ name: z.string(), version: z.string() }).and(figuresSchema).nullable(),
  /** Of ours over the peer's: of pairs that were taken in turns, where there are pairs. */
  ratio: figuresSchema.nullable(),
  /** What the median is held against. */
  goal: goalSchema.nullable(),
  /** Null: there is no goal, or what it is about was not measured. */
  met: z.boolean().nullable(),
});

/** A part's details are beside these. */
export const resultSchema = z.looseObject({
  bench: z.string(),
  rows: z.array(rowSchema).min(1),
  notes: z.array(z.string()).optional(),
});

/** A line of the table. */
export type Row = z.infer<typeof rowSchema>;
export type Goal = z.infer<typeof goalSchema>;
export type Peer = NonNullable<Row['peer']>;
export type Result = z.infer<typeof resultSchema>;
export const rowsSchema = z.array(rowSchema);

/** Gives out what a script measured, and on what processor. */
export function print(result: object): void {
  console.log(JSON.stringify({ machine: describeMachine(), ...result }, null, 2));
}

/** A row of which only some is known. */
export interface Measured {
  readonly name: string;
  readonly unit: string;
  readonly ours: Figures;
  readonly peer?: Peer | null;
  readonly ratio?: Figures | null;
  readonly goal?: Goal | null;
}

/** The row, with `met` worked out. */
export function row({ name, unit, ours, peer = null, ratio = null, goal = null }: Measured): Row {
  return { name, unit, ours, peer, ratio, goal, met: isMet({ ours, ratio }, goal) };
}

function isMet(figures: { ours: Figures; ratio: Figures | null }, goal: Goal | null): boolean | null {
  if (goal === null) return null;
  const value = figures[goal.of]?.median;
  if (value === undefined) return null;
  return (goal.atMost === undefined || value <= goal.atMost) && (goal.atLeast === undefined || value >= goal.atLeast);
}

/** Ratio of two figures that were not taken in pairs: of their medians, and of their best. */
export function ratioOf(ours: Figures, peer: Figures, best: 'min' | 'max'): Figures {
  const [ofMedians, ofBest] = [ours.median / peer.median, ours[best] / peer[best]];
  return { min: Math.min(ofMedians, ofBest), median: ofMedians, max: Math.max(ofMedians, ofBest), samples: 1 };
}

/** A part's result. Throws if it is none: a script that changed its output must not end in an empty table. */
export function checkResult(value: unknown): Result {
  const result = resultSchema.safeParse(value);
  if (!result.success) throw new Error(`not a benchmark's result: ${z.prettifyError(result.error)}`);
  return result.data;
}
