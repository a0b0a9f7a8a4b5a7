/** `lockstep verify`: opens a run directory, checks it, prints what it proves. */
import { Command } from 'commander';
import {
  CheckpointError,
  DirectoryStore,
  Ledger,
  readOrigin,
  readRun,
  runPaths,
  stateDigest,
  storedRun,
  type LedgerReader,
  type RunRecord,
  type StoredRun,
  type TrainingState,
} from '@lockstep/run';
import { initialState, openRunData, stateFrom, type Task } from '@lockstep/task';
import { DATA_DOC } from '@lockstep/sampler';
import { CliError } from '../errors.js';
import { openRunTask } from '@lockstep/catalog';
import { verifyRun, type Check, type Verification } from '../verify/verify.js';
import { epochsOf, type EpochUse } from '../verify/verify-samples.js';

/** Workers and steps that a line names; --json has all. */
const SHOWN = 10;
/** Lines about epochs; those that are alike share one. --json has all. */
const MAX_EPOCH_LINES = 20;

/** Exits with 0 if all is proved, 1 if not. */
export function verifyCommand(): Command {
  return new Command('verify')
    .description('proves from ledger and checkpoints which samples a run used, and that nothing was changed or lost')
    .argument('<directory>', 'directory of the run')
    .option('--data <folder>', DATA_DOC)
    .option('--json', 'print one JSON object')
    .action(async (directory: string, options: { readonly data?: string; readonly json?: boolean }) => {
      const verification = await verifyDirectory(directory, options.data ?? null);
      process.stdout.write(
        options.json === true ? `${JSON.stringify(verification)}\n` : `${describe(verification).join('\n')}\n`,
      );
      process.exitCode = verification.ok ? 0 : 1;
    });
}

/**
 * Checks the run in `directory`, which may be under way.
 * @param given where its data is now; null: where it was when the run began
 * @throws CheckpointError E_RUN_MISSING, E_RUN_CORRUPT, E_LEDGER_MISSING, E_LEDGER_VERSION; CliError
 *   E_VERIFY_CHANGED; TaskError E_TASK_*, E_DATA_*; DiffusionError E_MNIST_* and others of the task's own
 */
export async function verifyDirectory(directory: string, given: string | null = null): Promise<Verification> {
  const record = await readRun(directory);
  const stored = storedRun(record, directory);
  const { module, task } = await openRunTask(stored);
  const data = await openRunData(task, module, { source: stored.data, digest: record.dataDigest }, given);
  const start = await startOf(record, directory);
  const paths = runPaths(directory);
  const ledger = await openLedger(paths.ledger);
  try {
    const branches = ledger instanceof CheckpointError ? 0 : ledger.branches().length;
    const verification = await verifyRun({
      record,
      order: {
        seed: record.seed,
        count: data.count,
        globalBatch: stored.globalBatch,
        microbatchSize: stored.microbatchSize,
      },
      ledger,
      store: new DirectoryStore(paths.checkpoints),
      start,
      startDigest: () => startDigestOf(record, stored, task, start),
    });
    if (!(ledger instanceof CheckpointError) && ledger.branches().length !== branches)
      throw new CliError('E_VERIFY_CHANGED', 'the run went back to an earlier step while it was read; verify it again');
    return verification;
  } finally {
    if (!(ledger instanceof CheckpointError)) await ledger.close();
  }
}

async function openLedger(folder: string): Promise<LedgerReader | CheckpointError> {
  try {
    return await Ledger.openReader(folder);
  } catch (error) {
    if (error instanceof CheckpointError && error.code === 'E_LEDGER_CORRUPT') return error;
    throw error;
  }
}

/** The state of another run that the run starts from, or why it cannot be read; null if it starts from its seed. */
async function startOf({ origin }: RunRecord, directory: string): Promise<TrainingState | CheckpointError | null> {
  if (origin === undefined) return null;
  try {
    return await readOrigin(directory, origin);
  } catch (error) {
    if (error instanceof CheckpointError && error.code === 'E_ORIGIN_STATE') return error;
    throw error;
  }
}

/** Digest of state 0; null if it is another run's state that is not known here. */
function startDigestOf(
  { seed }: RunRecord,
  { arithmetic }: StoredRun,
  task: Task,
  start: TrainingState | CheckpointError | null,
): string | null {
  if (start instanceof CheckpointError) return null;
  return stateDigest(start === null ? initialState(task, seed) : stateFrom(start), arithmetic);
}

/** Lines for a person. */
export function describe(verification: Verification): string[] {
  const { checks, epochs, microbatches, generations, steps } = verification;
  const total = microbatches.reduce((sum, { count }) => sum + count, 0);
  const shares = microbatches.map(({ worker, count }) => `${worker} ${count}`);
  const lines = checks.flatMap((check) => [describeCheck(check), ...describeFaults(check)]);
  lines.push(...epochs.slice(0, MAX_EPOCH_LINES).map(describeEpoch));
  const unlisted = epochs.length - MAX_EPOCH_LINES;
  if (unlisted > 0)
    lines.push(`  and ${unlisted} more lines of epochs, the last of them:`, ...epochs.slice(-1).map(describeEpoch));
  if (verification.notReproducibleFrom !== undefined) {
    lines.push(
      `skipped as not finite: ${listed(verification.skippedSteps.map((step) => `step ${step}`))}`,
      `computed: ${steps} steps in ${generations} generations, ${total} microbatches (${listed(shares)})`,
      ...describeReproducibility(verification),
    );
  }
  lines.push(verification.ok ? 'verified' : 'NOT VERIFIED');
  return lines;
}

function describeCheck({ name, result, code, summary }: Check): string {
  switch (result) {
    case 'ok':
      return `${name}: ok, ${summary}`;
    case 'failed':
      return `${name}: FAILED (${code}), ${summary}`;
    case 'unchecked':
      return `${name}: ${summary}`;
    default:
      return result satisfies never;
  }
}

function describeFaults({ faults, faultCount, code: ofCheck }: Check): string[] {
  const lines = faults.map(({ code, step, microbatch, reason }) => {
    const where = [
      step === null ? [] : [`step ${step}`],
      microbatch === null ? [] : [`microbatch ${microbatch}`],
    ].flat();
    const text = where.length === 0 ? reason : `${where.join(', ')}: ${reason}`;
    // A CheckpointError's message begins with its code.
    return `  ${code === ofCheck ? `${code}: ` : ''}${text}`;
  });
  return faultCount > faults.length ? [...lines, `  and ${faultCount - faults.length} more`] : lines;
}

function describeEpoch(use: EpochUse): string {
  const { used, once, repeated, never, inSkippedSteps, complete, through } = use;
  const skipped = inSkippedSteps > 0 ? `; ${inSkippedSteps} of them in skipped steps, which changed nothing` : '';
  if (through !== undefined && complete && repeated === 0 && never === 0)
    return `${epochsOf(use)}: each of the ${once} samples used exactly once${skipped === '' ? '' : ` in each${skipped}`}`;
  const rest = complete
    ? `${never} not used`
    : `the epoch is not over: ${never} of the ${once + repeated + never} samples have not had their turn`;
  const each = through === undefined ? '' : 'in each ';
  return `${epochsOf(use)}: ${each}${used} samples used, ${once} exactly once, ${repeated} more than once, ${rest}${skipped}`;
}

function describeReproducibility({ notReproducibleFrom: from, admitted, branches }: Verification): string[] {
  if (from === null || from === undefined)
    return ['reproducible: yes, one numerics class computed all; who did what does not matter'];
  const workers = admitted.map(({ worker, step }) => `${worker} from step ${step}`);
  const cuts = branches.map(({ step, entries, reason }) => `${entries} from step ${step} on (${reason})`);
  return [
    `reproducible: no, from step ${from} on; admitted with another numerics class: ${listed(workers)}`,
    `steps done again with other digests: ${listed(cuts)}`,
  ];
}

function listed(items: readonly string[]): string {
  if (items.length === 0) return 'none';
  const more = items.length > SHOWN ? `, and ${items.length - SHOWN} more` : '';
  return items.slice(0, SHOWN).join(', ') + more;
}
