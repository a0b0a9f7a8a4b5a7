/** Puts one fault to the test: runs, injections, and what must hold after each run. */
import { digestOf, slowestStep, undisturbedDigest, verifyProblem } from './check.js';
import { Cluster, HEARTBEAT_TIMEOUT_MS, PATIENT_TIMEOUT_MS, type Recipe } from './cluster.js';
import { Skipped, type Bench, type Fault, type Injection } from './fault.js';
import { median } from './timeline.js';

/** Steps before the first injection: they tell how long a quiet step takes. */
const QUIET_STEPS = 10;
/** Where silence must be waited for, it is for as long as so many steps of one worker take at their slowest. */
const SLOW_STEPS = 20;

export interface Plan {
  readonly recipe: Recipe;
  /** Injections of each fault. */
  readonly repeat: number;
  /** True: how long it takes is of interest. False: nobody who is only slow may be taken for lost. */
  readonly measures: boolean;
}

export const FULL: Plan = { recipe: { globalBatch: 48, microbatchSize: 4, seed: 7 }, repeat: 5, measures: true };
export const QUICK: Plan = { recipe: { globalBatch: 24, microbatchSize: 2, seed: 7 }, repeat: 1, measures: false };

/** A line of the table. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly goal: string;
  readonly injections: number;
  /** Of each injection; see Injection. */
  readonly seconds: readonly number[];
  /** Median time of a step before the first injection, seconds. */
  readonly quietStep: number;
  readonly details: readonly string[];
  /** Null: the run did not get so far. */
  readonly bitsEqual: boolean | null;
  /** By `lockstep verify`; null: it did not get so far. */
  readonly ledgerWhole: boolean | null;
  readonly goalMet: boolean;
  /** What went wrong; null: nothing. */
  readonly problem: string | null;
  /** Why this machine cannot do it; null: it could. */
  readonly skipped: string | null;
}

/** What is known of a fault while it is put to the test. */
class Trial {
  readonly injections: Injection[] = [];
  readonly quiet: number[] = [];
  bitsEqual: boolean | null = null;
  ledgerWhole: boolean | null = null;
}

export async function putToTest(fault: Fault, plan: Plan): Promise<Row> {
  const trial = new Trial();
  let problem: string | null = null;
  let skipped: string | null = null;
  try {
    await oneRun(fault, plan, trial);
  } catch (error) {
    if (error instanceof Skipped) skipped = error.message;
    else problem = error instanceof Error ? error.message : String(error);
  }
  const { injections, bitsEqual, ledgerWhole } = trial;
  const seconds = injections.map((injection) => injection.seconds);
  const quietStep = median(trial.quiet);
  return {
    id: fault.id,
    title: fault.title,
    goal: fault.goal,
    injections: injections.length,
    seconds,
    quietStep,
    details: injections.flatMap(({ detail }) => detail ?? []),
    bitsEqual,
    ledgerWhole,
    goalMet: problem === null && injections.length > 0 && fault.met({ seconds, quietStep }),
    problem,
    skipped,
  };
}

async function oneRun(fault: Fault, { recipe, repeat, measures }: Plan, trial: Trial): Promise<void> {
  const bench = await fault.open();
  try {
    const heartbeatTimeoutMs = measures ? HEARTBEAT_TIMEOUT_MS : await patience(fault, recipe);
    const layout = { recipe, workers: 3, checkpointEvery: 5, heartbeatTimeoutMs };
    const cluster = await Cluster.start({ ...layout, ...bench.layout });
    try {
      await injectInto(cluster, bench, fault.repeats === false ? 1 : repeat, trial);
      const steps = await cluster.stop();
      const digest = await digestOf(cluster);
      const expected = await undisturbedDigest(recipe, steps);
      trial.bitsEqual = digest === expected;
      if (digest !== expected)
        throw new Error(`after ${steps} steps the digest is ${digest}, the undisturbed run's ${expected}`);
      const problem = await verifyProblem(cluster);
      trial.ledgerWhole = problem === null;
      if (problem !== null) throw new Error(problem);
    } finally {
      await cluster.close();
    }
  } finally {
    await bench.close?.();
  }
}

/** A heartbeat timeout with which nobody is taken for lost who is only slow. Milliseconds. */
async function patience(fault: Fault, recipe: Recipe): Promise<number> {
  if (fault.waitsForSilence !== true) return PATIENT_TIMEOUT_MS;
  const slowest = await slowestStep(recipe);
  return Math.round(Math.min(PATIENT_TIMEOUT_MS, Math.max(2 * HEARTBEAT_TIMEOUT_MS, 1000 * SLOW_STEPS * slowest)));
}

/** Injects as often as is wanted, each time into a run that is whole. */
async function injectInto(cluster: Cluster, bench: Bench, wanted: number, trial: Trial): Promise<void> {
  await cluster.whole();
  const since = performance.now();
  await cluster.commits(QUIET_STEPS);
  trial.quiet.push(...cluster.timeline.gaps(since, performance.now()));
  while (trial.injections.length < wanted) {
    trial.injections.push(...(await bench.inject(cluster, trial.injections.length)));
    if (trial.injections.length < wanted) await cluster.whole();
  }
}
