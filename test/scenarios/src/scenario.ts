/** Puts one fault to the test: runs, injections, and what must hold after each run. */
import { digestOf, undisturbedDigest, verifyProblem } from './check.js';
import { Cluster, RunOver, type Recipe } from './cluster.js';
import { Skipped, type Bench, type Fault, type Injection } from './fault.js';
import { median } from './timeline.js';

/** Steps before the first injection: they tell how long a quiet step takes. */
const QUIET_STEPS = 10;
/** With fewer steps left the next injection would not be over before the run is. */
const RESERVED_STEPS = 20;
/** So many runs must suffice for all injections of a fault. */
const MAX_RUNS = 6;

export interface Plan {
  readonly recipe: Recipe;
  /** Injections of each fault. */
  readonly repeat: number;
}

export const FULL: Plan = { recipe: { steps: 160, globalBatch: 48, microbatchSize: 4, seed: 7 }, repeat: 5 };
export const QUICK: Plan = { recipe: { steps: 50, globalBatch: 24, microbatchSize: 2, seed: 7 }, repeat: 1 };

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
  /** Null: no run got to its end. */
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
    const wanted = fault.repeats === false ? 1 : plan.repeat;
    for (let run = 0; trial.injections.length < wanted; run++) {
      if (run === MAX_RUNS) throw new Error(`${MAX_RUNS} runs were over before ${wanted} injections`);
      await oneRun(fault, plan, wanted, trial);
    }
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

async function oneRun(fault: Fault, plan: Plan, wanted: number, trial: Trial): Promise<void> {
  const recipe = { ...plan.recipe, steps: plan.recipe.steps * (fault.longer ?? 1) };
  const expected = await undisturbedDigest(recipe);
  const bench = await fault.open();
  try {
    const cluster = await Cluster.start({ recipe, workers: 3, checkpointEvery: 5, ...bench.layout });
    try {
      await injectInto(cluster, bench, wanted, trial);
      await cluster.finished();
      const digest = await digestOf(cluster);
      trial.bitsEqual = digest === expected && trial.bitsEqual !== false;
      if (digest !== expected) throw new Error(`the digest is ${digest}, the undisturbed run's ${expected}`);
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

/** Injects until there are enough injections, or too few steps left. */
async function injectInto(cluster: Cluster, bench: Bench, wanted: number, trial: Trial): Promise<void> {
  try {
    await cluster.whole();
    const since = performance.now();
    await cluster.commits(QUIET_STEPS);
    trial.quiet.push(...cluster.timeline.gaps(since, performance.now()));
    while (trial.injections.length < wanted && cluster.stepsLeft > RESERVED_STEPS) {
      trial.injections.push(...(await bench.inject(cluster, trial.injections.length)));
      if (trial.injections.length < wanted) await cluster.whole();
    }
  } catch (error) {
    // Too late for this injection: another run has it.
    if (!(error instanceof RunOver)) throw error;
  }
}
