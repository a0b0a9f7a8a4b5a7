/** A run as replay finds it on disk: its settings, what the ledger says, and the states to begin from. Nothing is written. */
import {
  DirectoryStore,
  Ledger,
  readRun,
  runPaths,
  stateDigest,
  storedRun,
  CheckpointError,
  readOrigin,
  type LedgerEntry,
  type LedgerReader,
  type Origin,
  type StoredRun,
} from '@lockstep/run';
import { failureOf, type Arithmetic, type EngineName } from '@lockstep/base';
import type { Wire } from '@lockstep/exact';
import { initialState, openRunData, stateFrom, TaskError, type TaskData } from '@lockstep/task';
import type { StateArrays } from '@lockstep/base';
import { taskHere, type TaskHere } from '../compute/run-here.js';
import { ReplayError } from './replay-error.js';

export interface RunOnDisk extends TaskHere {
  readonly runId: string;
  readonly seed: number;
  readonly wire: Wire;
  readonly arithmetic: Arithmetic;
  /** What its gradients were computed by. */
  readonly engine: EngineName;
  /** Where the data was when the run began, as the run has it stored. */
  readonly data: string | null;
  readonly dataDigest: string;
  /** The state of another run that it starts from, if it does. */
  readonly from: Origin | null;
}

/** @throws CheckpointError E_RUN_MISSING, E_RUN_CORRUPT; ReplayError E_REPLAY_RECIPE; TaskError E_TASK_CODE and others */
export async function openRunOnDisk(directory: string): Promise<RunOnDisk> {
  const record = await readRun(directory);
  const stored = storedRun(record, directory);
  const { runId, seed, dataDigest, origin } = record;
  const { data, wire, arithmetic, engine } = stored;
  const from = origin ?? null;
  return { ...(await taskOf(stored, directory)), runId, seed, wire, arithmetic, engine, data, dataDigest, from };
}

async function taskOf(stored: StoredRun, directory: string): Promise<TaskHere> {
  try {
    return await taskHere(stored);
  } catch (error) {
    if (error instanceof TaskError) throw error;
    throw new ReplayError(
      'E_REPLAY_RECIPE',
      `${directory} was made with a recipe that this version of Lockstep cannot build (${failureOf(error).message}); replay it with the version that made it`,
      { cause: error },
    );
  }
}

/** The run's data. @param given where it is now; null: where it was. @throws TaskError E_DATA_MISSING, E_DATA_CHANGED; what the task throws */
export async function dataOf(
  { task, module, data: source, dataDigest: digest }: RunOnDisk,
  given: string | null,
): Promise<TaskData> {
  return openRunData(task, module, { source, digest }, given);
}

/** The ledger of the run, for reading. @throws CheckpointError E_LEDGER_* */
export async function openLedger(directory: string): Promise<LedgerReader> {
  return Ledger.openReader(runPaths(directory).ledger);
}

/** A state that replay can begin from, and where it comes from. */
export interface StartingPoint {
  readonly step: number;
  readonly state: StateArrays;
  readonly origin: string;
}

/**
 * The newest state up to `step` that is whole and, where the ledger knows it, the ledger's: of the checkpoints and of the
 * incidents; else state 0, which the seed gives, or the state of another run.
 * @throws CheckpointError E_CHECKPOINT_READ, E_ORIGIN_STATE
 */
export async function startingPoint(
  directory: string,
  { task, seed, runId, arithmetic, from }: RunOnDisk,
  entryOf: (step: number) => LedgerEntry | undefined,
  step: number,
  warn: (text: string) => void,
): Promise<StartingPoint> {
  const { incidents, checkpoints } = runPaths(directory);
  // An incident is the state of a step that met a number that is not finite.
  const folders = [incidents, checkpoints];
  const stores = folders.map((folder) => ({ folder, store: new DirectoryStore(folder) }));
  const candidates = (
    await Promise.all(stores.map(async (at) => (await at.store.list()).map((found) => ({ ...at, found }))))
  )
    .flat()
    .filter(({ found }) => found > 0 && found <= step)
    .sort((a, b) => b.found - a.found);
  for (const { folder, store, found } of candidates) {
    try {
      const { state, manifest } = await store.read(found);
      if (manifest.runId === runId && stateDigest(state, arithmetic) === entryOf(found - 1)?.digest)
        return { step: found, state, origin: folder };
      warn(`E_CHECKPOINT_LEDGER: state ${found} in ${folder} is not the one in the ledger; it is not used`);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      warn(error.message);
    }
  }
  if (from === null) return { step: 0, state: initialState(task, seed), origin: 'the seed' };
  const state = stateFrom(await readOrigin(directory, from));
  return { step: 0, state, origin: `step ${from.step} of run ${from.runId}` };
}
