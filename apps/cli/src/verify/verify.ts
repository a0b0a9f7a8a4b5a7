/**
 * What a run directory proves: its ledger's chain is whole, each step used the samples that the seed gives it, and the
 * checkpoints are the states that the ledger names. Reads only; the caller opens, prints and exits.
 */
import {
  type Admission,
  type Branch,
  CheckpointError,
  type CheckpointStore,
  type LedgerEntry,
  type LedgerReader,
  type Origin,
  type RunRecord,
} from '@lockstep/run';
import { epochsOf, SampleCounter, type EpochUse, type SampleOrder } from './verify-samples.js';

/** Faults that a check lists; of the others it tells the number: a run of another seed has one in every microbatch. */
export const MAX_FAULTS = 20;

export type VerifyCode =
  'E_VERIFY_ORIGIN' | 'E_VERIFY_CHAIN' | 'E_VERIFY_SAMPLES' | 'E_VERIFY_SKIPPED' | 'E_VERIFY_CHECKPOINT';

/** One thing wrong. `code` is the check's own, or that of the error which says more. */
export interface Fault {
  readonly code: string;
  readonly step: number | null;
  readonly microbatch: number | null;
  readonly reason: string;
}

export interface Check {
  /** 'origin' only of a run that starts from another's state. */
  readonly name: 'chain' | 'origin' | 'samples' | 'skipped' | 'checkpoints';
  /** 'unchecked': an earlier check failed, so that this one could not be made. */
  readonly result: 'ok' | 'failed' | 'unchecked';
  /** Set if it failed. */
  readonly code: VerifyCode | null;
  /** What was found, in one line. */
  readonly summary: string;
  /** The first MAX_FAULTS. */
  readonly faults: readonly Fault[];
  /** How many there are in all. */
  readonly faultCount: number;
}

export interface Verification {
  readonly run: string;
  /** The state of another run that it starts from; null: it starts from its seed. */
  readonly origin: Origin | null;
  readonly ok: boolean;
  readonly checks: readonly Check[];
  /** Committed steps. */
  readonly steps: number;
  /** Those that are alike in one entry. */
  readonly epochs: readonly EpochUse[];
  /** Steps that changed nothing, as a gradient was not finite. */
  readonly skippedSteps: readonly number[];
  /** Generations that committed a step. */
  readonly generations: number;
  /** Microbatches whose gradient entered the sum, by worker, most first. */
  readonly microbatches: readonly { readonly worker: string; readonly count: number }[];
  /** First step whose bits may depend on who did what; null: the run is reproducible. Undefined without a ledger. */
  readonly notReproducibleFrom: number | null | undefined;
  readonly admitted: readonly Admission[];
  readonly branches: readonly Branch[];
}

export interface VerifyInput {
  readonly record: RunRecord;
  readonly order: SampleOrder;
  /** The open ledger, or why it cannot be read (E_LEDGER_CORRUPT). */
  readonly ledger: LedgerReader | CheckpointError;
  readonly store: Pick<CheckpointStore, 'list' | 'read'>;
  /** The other run's state, read and checked, or why it cannot be read; null if the run starts from its seed. */
  readonly start: object | CheckpointError | null;
  /** Digest of state 0, or null if this version cannot compute it; asked for only where a check needs it. */
  readonly startDigest: () => string | null;
}

type CheckName = Check['name'];
const CODES = {
  origin: 'E_VERIFY_ORIGIN',
  chain: 'E_VERIFY_CHAIN',
  samples: 'E_VERIFY_SAMPLES',
  skipped: 'E_VERIFY_SKIPPED',
  checkpoints: 'E_VERIFY_CHECKPOINT',
} as const satisfies Record<CheckName, VerifyCode>;

/** A check under way: keeps the first faults, counts all. */
class Faults {
  readonly kept: Fault[] = [];
  count = 0;

  constructor(private readonly name: CheckName) {}

  add(step: number | null, reason: string, microbatch: number | null = null, code: string = CODES[this.name]): void {
    if (this.kept.length < MAX_FAULTS) this.kept.push({ code, step, microbatch, reason });
    this.count += 1;
  }

  check(summary: string): Check {
    const failed = this.count > 0;
    return {
      name: this.name,
      result: failed ? 'failed' : 'ok',
      code: failed ? CODES[this.name] : null,
      summary,
      faults: this.kept,
      faultCount: this.count,
    };
  }
}

/**
 * Makes all checks. A ledger that is damaged fails the first one, and leaves the others unmade.
 * @throws CheckpointError E_LEDGER_CORRUPT, E_CHECKPOINT_READ if the disk fails under it; DiffusionError for an impossible recipe
 */
export async function verifyRun(input: VerifyInput): Promise<Verification> {
  const { ledger } = input;
  if (ledger instanceof CheckpointError) return unreadable(input, ledger.message);
  const report = ledger.verifyChain();
  if (!report.ok) return unreadable(input, report.reason);

  const chain = new Faults('chain').check(
    `${report.entries} entries, contiguous from step 0, each chained to the one before`,
  );
  const steps = readSteps(input, ledger.range(0, report.entries - 1));
  const checkpoints = await checkCheckpoints(input, ledger);
  const checks = [chain, ...checkOrigin(input, ledger), steps.samples, steps.skipped, checkpoints];
  return {
    run: input.record.runId,
    origin: input.record.origin ?? null,
    ok: checks.every(({ result }) => result === 'ok'),
    checks,
    steps: report.entries,
    epochs: steps.epochs,
    skippedSteps: steps.skippedSteps,
    generations: steps.generations,
    microbatches: steps.microbatches,
    notReproducibleFrom: ledger.notReproducibleFrom(),
    admitted: ledger.admitted(),
    branches: ledger.branches(),
  };
}

function unreadable({ record }: VerifyInput, reason: string): Verification {
  const chain = new Faults('chain');
  chain.add(null, reason);
  const unmade = (['samples', 'skipped', 'checkpoints'] as const).map(
    (name) =>
      ({
        name,
        result: 'unchecked',
        code: null,
        summary: 'not checked: it needs the ledger',
        faults: [],
        faultCount: 0,
      }) as const,
  );
  return {
    run: record.runId,
    origin: record.origin ?? null,
    ok: false,
    checks: [chain.check('the ledger is damaged'), ...unmade],
    steps: 0,
    epochs: [],
    skippedSteps: [],
    generations: 0,
    microbatches: [],
    notReproducibleFrom: undefined,
    admitted: [],
    branches: [],
  };
}

type Steps = Pick<Verification, 'epochs' | 'skippedSteps' | 'generations' | 'microbatches'> & {
  readonly samples: Check;
  readonly skipped: Check;
};

/** One walk over the entries for all that is asked of them. */
function readSteps({ order, startDigest }: VerifyInput, entries: Iterable<LedgerEntry>): Steps {
  const counter = new SampleCounter(order);
  const [samples, skipped] = [new Faults('samples'), new Faults('skipped')];
  const skippedSteps: number[] = [];
  const generations = new Set<number>();
  const byWorker = new Map<string, number>();
  let [checked, previous]: [number, string | null] = [0, null];
  for (const entry of entries) {
    for (const { step, microbatch, reason } of counter.add(entry)) samples.add(step, reason, microbatch);
    checked += entry.samples.length;
    if (entry.skipped) {
      skippedSteps.push(entry.step);
      const before: string | null = entry.step === 0 ? startDigest() : previous;
      if (before !== null && before !== entry.digest)
        skipped.add(entry.step, `it was skipped, but led from state ${before} to another, ${entry.digest}`);
    }
    previous = entry.digest;
    generations.add(entry.generation);
    for (const worker of entry.plan) byWorker.set(worker, (byWorker.get(worker) ?? 0) + 1);
  }
  const epochs = counter.finish();
  for (const use of epochs) {
    const [which, several] = [epochsOf(use), use.through !== undefined];
    if (use.repeated > 0)
      samples.add(null, `${which} ${several ? 'each ' : ''}used ${use.repeated} samples more than once`);
    if (use.complete && use.never > 0)
      samples.add(
        null,
        `${which} ${several ? 'are' : 'is'} over, but ${use.never} samples ${several ? 'of each ' : ''}were not used`,
      );
  }
  return {
    samples: samples.check(`${checked} microbatches, compared with the samples that the seed gives them`),
    skipped: skipped.check(`${skippedSteps.length} steps skipped as not finite, compared with the state before`),
    epochs,
    skippedSteps,
    generations: generations.size,
    microbatches: [...byWorker]
      .map(([worker, count]) => ({ worker, count }))
      .sort((a, b) => b.count - a.count || (a.worker < b.worker ? -1 : 1)),
  };
}

/** The chain starts from the ledger's origin; run.json must name the same, and origin/ hold that state. */
function checkOrigin({ record, start }: VerifyInput, ledger: LedgerReader): Check[] {
  const [named, chained] = [record.origin ?? null, ledger.origin()];
  if (named === null && chained === null) return [];
  const faults = new Faults('origin');
  const said = (origin: Origin | null): string =>
    origin === null ? 'the seed' : `step ${origin.step} of run ${origin.runId}, state ${origin.digest}`;
  if (said(named) !== said(chained))
    faults.add(null, `run.json says that the run starts from ${said(named)}, the ledger from ${said(chained)}`);
  if (start instanceof CheckpointError) faults.add(null, start.message, null, start.code);
  const kept = faults.count === 0 ? ', kept in origin/' : '';
  return [faults.check(`the run starts from ${said(chained)}${kept}`)];
}

async function checkCheckpoints({ record, store, startDigest }: VerifyInput, ledger: LedgerReader): Promise<Check> {
  const faults = new Faults('checkpoints');
  const listed = await store.list();
  let read = 0;
  for (const step of listed) {
    try {
      // Reading computes sha256 of each file and the state's digest from its bytes, and compares them with the manifest.
      const { manifest } = await store.read(step);
      read += 1;
      const expected = step === 0 ? startDigest() : (ledger.get(step - 1)?.digest ?? 'none');
      if (manifest.runId !== record.runId)
        faults.add(step, `the checkpoint of step ${step} is of run ${manifest.runId}`);
      else if (expected !== null && manifest.stateDigest !== expected)
        faults.add(step, `the checkpoint of step ${step} is state ${manifest.stateDigest}, by the ledger ${expected}`);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      // A run that goes on removes old checkpoints, also while one is read.
      if (!(await store.list()).includes(step)) continue;
      faults.add(step, error.message, null, error.code);
    }
  }
  return faults.check(
    `${read} of ${listed.length} checkpoints are whole, their states' digests compared with the ledger`,
  );
}
