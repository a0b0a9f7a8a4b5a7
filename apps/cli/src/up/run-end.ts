/** How a run stands of which no coordinator answers: by what lies in its directory, or by the last answer. */
import { DirectoryStore, Ledger, readRun, runPaths, storedRun } from '@lockstep/run';
import type { Status } from '@lockstep/coordinator';
import { CliError } from '../errors.js';

/**
 * A status as a coordinator gives it, of a run that nobody works at.
 * @throws CheckpointError E_RUN_MISSING, E_RUN_CORRUPT, E_LEDGER_*
 */
export async function storedStatus(directory: string): Promise<Status> {
  const paths = runPaths(directory);
  const record = await readRun(directory);
  const { steps } = storedRun(record, directory);
  const ledger = await Ledger.openReader(paths.ledger);
  try {
    const last = ledger.last();
    const checkpoints = await new DirectoryStore(paths.checkpoints).list();
    return {
      run: record.runId,
      phase: 'over',
      step: last === undefined ? 0 : last.step + 1,
      steps,
      generation: ledger.generation(),
      workers: [],
      loss: null,
      figures: {},
      imagesPerSecond: 0,
      etaSeconds: null,
      checkpoint: checkpoints.length === 0 ? null : Math.max(...checkpoints),
      reproducible: ledger.notReproducibleFrom() === null,
      evaluation: null,
    };
  } finally {
    await ledger.close();
  }
}

/** Whether nothing is left to do: every step is in the ledger, and the last state in a checkpoint. */
export function isComplete({ step, steps, checkpoint }: Status): boolean {
  return step === steps && checkpoint === steps;
}

export function completeLine({ steps }: Status): string {
  return `complete: all ${steps} steps are done, checkpoint of step ${steps}`;
}

/** What is said of a run that ended before all was done, or whose coordinator is gone. */
export function unfinished({ step, steps, checkpoint }: Status, why: string): CliError {
  const last = checkpoint === null ? 'no checkpoint' : `the last checkpoint of step ${checkpoint}`;
  const how = `the run is at step ${step} of ${steps}, with ${last}, and ${why}`;
  return new CliError('E_STATUS_UNREACHABLE', `${how}; go on by lockstep up --resume`);
}
