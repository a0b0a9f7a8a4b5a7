/** Many schedules, shared out over threads: each is a function of its seed, so it does not matter which thread runs it. */
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { z } from 'zod';
import { runLeaving, runSchedule } from './schedule.js';

const KINDS = { schedule: runSchedule, leaving: runLeaving } as const;

/** What is simulated: any schedule of faults, or one in which workers leave in order. */
export type Kind = keyof typeof KINDS;

/** What all of them came to. */
export interface Totals {
  readonly faults: number;
  /** How often the coordinators said what. */
  readonly notes: ReadonlyMap<string, number>;
  /** The first seeds that went wrong, in their order, and how. */
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly seed: number;
  readonly violations: readonly string[];
  /** The last lines of the transcript. */
  readonly end: string;
}

/** Failures that a thread tells of; one is enough to fail a test. */
const TOLD = 20;
const END_LINES = 40;

const askedSchema = z.object({ kind: z.enum(['schedule', 'leaving']), from: z.int(), to: z.int(), every: z.int() });
const totalsSchema = z.object({
  faults: z.number(),
  notes: z.map(z.string(), z.number()),
  failures: z.array(z.object({ seed: z.number(), violations: z.array(z.string()), end: z.string() })),
});

/** Runs the schedules of seeds 0 .. count-1. */
export async function runMany(kind: Kind, count: number): Promise<Totals> {
  const threads = Math.max(1, Math.min(availableParallelism(), count));
  const parts = await Promise.all(
    Array.from({ length: threads }, (_, first) => inThread({ kind, from: first, to: count, every: threads })),
  );
  const notes = new Map<string, number>();
  for (const part of parts) for (const [note, times] of part.notes) notes.set(note, (notes.get(note) ?? 0) + times);
  return {
    faults: parts.reduce((sum, part) => sum + part.faults, 0),
    notes,
    failures: parts.flatMap((part) => part.failures).sort((a, b) => a.seed - b.seed),
  };
}

function inThread(asked: z.infer<typeof askedSchema>): Promise<Totals> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL(import.meta.url), { workerData: asked });
    thread.once('message', (totals) => {
      resolve(totalsSchema.parse(totals));
    });
    thread.once('error', reject);
    thread.once('exit', (status) => {
      reject(new Error(`a thread of the simulation ended with ${status} and no result`));
    });
  });
}

async function runPart({ kind, from, to, every }: z.infer<typeof askedSchema>): Promise<Totals> {
  const notes = new Map<string, number>();
  const failures: Failure[] = [];
  let faults = 0;
  for (let seed = from; seed < to && failures.length < TOLD; seed += every) {
    const result = await KINDS[kind](seed);
    faults += result.faults;
    for (const [note, times] of result.notes) notes.set(note, (notes.get(note) ?? 0) + times);
    if (result.violations.length === 0) continue;
    failures.push({ seed, violations: result.violations, end: result.transcript().slice(-END_LINES).join('\n') });
  }
  return { faults, notes, failures };
}

if (!isMainThread && parentPort !== null) parentPort.postMessage(await runPart(askedSchema.parse(workerData)));
