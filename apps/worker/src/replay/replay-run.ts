/** A run as replay finds it on disk: its settings, what the ledger says, and the states to begin from. Nothing is written. */
import {
  DirectoryStore,
  Ledger,
  readRun,
  runPaths,
  stateDigest,
  CheckpointError,
  readOrigin,
  type JsonValue,
  type LedgerEntry,
  type LedgerReader,
  type Origin,
} from '@lockstep/run';
import { WIRES, type Wire } from '@lockstep/exact';
import { type RunSettings } from '@lockstep/comm';
import {
  DiffusionError,
  initialTrainingState,
  MNIST,
  parseRecipe,
  stateFrom,
  type Preset,
  type TrainingState,
} from '@lockstep/diffusion';
import { ReplayError } from './replay-error.js';

export interface RunOnDisk {
  readonly runId: string;
  readonly settings: RunSettings;
  readonly recipe: Preset;
  /** The state of another run that it starts from, if it does. */
  readonly from: Origin | null;
}

/** @throws CheckpointError E_RUN_MISSING, E_RUN_CORRUPT; ReplayError E_REPLAY_RECIPE */
export async function openRunOnDisk(directory: string): Promise<RunOnDisk> {
  const { runId, config, seed, dataDigest, origin } = await readRun(directory);
  try {
    const recipe = parseRecipe(member(config, 'recipe'));
    const wire = storedWire(config);
    // How often a state is kept changes no number; a replay keeps none.
    const task = { module: 'diffusion', code: { version: '1' } };
    const settings = { task, data: dataOf(config), seed, recipe, wire, checkpointEvery: 1, dataDigest };
    return { runId, recipe, settings, from: origin ?? null };
  } catch (error) {
    if (!(error instanceof DiffusionError || error instanceof RangeError)) throw error;
    throw new ReplayError(
      'E_REPLAY_RECIPE',
      `${directory} was made with a recipe that this version of Lockstep cannot build (${error.message}); replay it with the version that made it`,
      { cause: error },
    );
  }
}

/** A run's wire; before there was a choice it was int32. */
function storedWire(config: JsonValue): Wire {
  const stored = member(config, 'wire') ?? 'int32';
  const wire = WIRES.find((known) => known === stored);
  if (wire === undefined) throw new RangeError(`unknown wire ${JSON.stringify(stored)}`);
  return wire;
}

/** Where a run's data is; before there was a choice it was MNIST. */
function dataOf(config: JsonValue): string {
  const data = member(config, 'data');
  return typeof data === 'string' ? data : MNIST;
}

/** A member of a JSON object; null if there is none. */
function member(value: JsonValue, name: string): JsonValue {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  return Object.entries<JsonValue>(value).find(([key]) => key === name)?.[1] ?? null;
}

/** The ledger of the run, for reading. @throws CheckpointError E_LEDGER_* */
export async function openLedger(directory: string): Promise<LedgerReader> {
  return Ledger.openReader(runPaths(directory).ledger);
}

/** A state that replay can begin from, and where it comes from. */
export interface StartingPoint {
  readonly step: number;
  readonly state: TrainingState;
  readonly origin: string;
}

/**
 * The newest state up to `step` that is whole and, where the ledger knows it, the ledger's: of the checkpoints and of the
 * incidents; else state 0, which the seed gives, or the state of another run.
 * @throws CheckpointError E_CHECKPOINT_READ, E_ORIGIN_STATE
 */
export async function startingPoint(
  directory: string,
  { settings, recipe, runId, from }: RunOnDisk,
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
      if (manifest.runId === runId && stateDigest(state) === entryOf(found - 1)?.digest)
        return { step: found, state, origin: folder };
      warn(`state ${found} in ${folder} is not the one in the ledger; it is not used`);
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      warn(error.message);
    }
  }
  if (from === null) return { step: 0, state: initialTrainingState(recipe, settings.seed), origin: 'the seed' };
  const state = stateFrom(await readOrigin(directory, from));
  return { step: 0, state, origin: `step ${from.step} of run ${from.runId}` };
}
