/** Starts a coordinator on a run directory: what is on disk decides where it goes on. */
import { resolve } from 'node:path';
import { isLoopback } from '@lockstep/comm';
import { DirectoryStore, Ledger, NO_TRACE, openRun, stateDigest, type Trace } from '@lockstep/checkpoint';
import type { DurableFs, JsonValue } from '@lockstep/checkpoint';
import { namesIn, type RunConfig } from '@lockstep/config';
import {
  checkDataset,
  describeDataset,
  DiffusionError,
  initialTrainingState,
  labelsOf,
  loadDataset,
  MNIST,
  parameterTable,
  parseRecipe,
  recipeFor,
} from '@lockstep/diffusion';
import type { Clocks } from './clocks.js';
import { CoordinatorError } from './errors.js';
import type { EvaluatorSetting } from './evaluator.js';
import { CoordinatorServer, type Report } from './server.js';
import { TIERS_FROM } from './topology.js';

/** What enters from the edge: clocks, a fresh run id, and who hears of what happens. */
export interface Surroundings {
  readonly clocks: Clocks;
  readonly freshRunId: string;
  /** What this machine is called; needed where others reach it by name. */
  readonly machineNames?: readonly string[];
  readonly report: (report: Report) => void;
  readonly warn: (text: string) => void;
  /** Hears what the run is trained on; nobody where it is left out. */
  readonly tell?: (text: string) => void;
  /** The disk on which checkpoints are written; the file system where it is left out. */
  readonly disk?: DurableFs;
  /** How to start an evaluation; without it none is started. */
  readonly evaluator?: Pick<EvaluatorSetting, 'module' | 'env'>;
  /** Takes in the phases of every step, if they are to be traced. */
  readonly trace?: Trace;
}

/**
 * Opens (or creates) the run in `config.out` and listens.
 * @throws CheckpointError (E_RUN_*, E_LEDGER_*, E_CHECKPOINT_*), CoordinatorError (E_CHECKPOINT_LEDGER), DiffusionError (E_PRESET, E_MNIST_*, E_DATA_*), or the system's error for the port
 */
export async function openCoordinator(
  config: RunConfig,
  { clocks, freshRunId, machineNames = [], report, warn, tell, disk, evaluator, trace = NO_TRACE }: Surroundings,
): Promise<CoordinatorServer> {
  // Workers may run in another folder.
  const data = config.data === MNIST ? MNIST : resolve(config.data);
  const dataset = loadDataset(data, 'train');
  const recipe = recipeFor(config, dataset);
  checkDataset(dataset, { ...recipe.model, classes: labelsOf(recipe.model) });
  const dataDigest = dataset.digest;
  tell?.(`data: ${describeDataset(dataset)}`);
  const { seed } = config;
  // A round trip through JSON, so that what is compared on resume is what is stored.
  const stored = JSON.parse(JSON.stringify({ preset: config.preset, data, wire: config.wire, recipe })) as JsonValue;
  const { count, classNames } = dataset;
  const proposal = {
    runId: freshRunId,
    seed,
    dataDigest,
    dataset: { count, classNames },
    config: stored,
    createdAt: clocks.wallNow(),
  };
  const { record, paths } = await openRun(config.out, proposal, { meaning: meaningOf });
  const ledger = await Ledger.open(paths.ledger, { takeOver: config.takeOver, warn });
  const store = new DirectoryStore(paths.checkpoints, disk === undefined ? {} : { disk });
  const incidents = new DirectoryStore(paths.incidents);
  await store.sweep();
  const committed = (ledger.last()?.step ?? -1) + 1;
  const ahead = (await store.list()).filter((of) => of > committed);
  if (ahead.length > 0)
    warn(
      `the ledger ends with step ${committed}: checkpoints of later steps (${ahead.join(', ')}) are not used, their steps are done again`,
    );
  const { checkpoint, skipped } = await store.newest(committed);
  for (const bad of skipped) warn(`${bad.code}: the checkpoint of step ${bad.step} is not used: ${bad.reason}`);
  const seedDigest = stateDigest({ step: 0, ...initialTrainingState(recipe, seed) });
  const held =
    checkpoint === undefined ? null : { step: checkpoint.state.step, digest: checkpoint.manifest.stateDigest };
  if (held !== null) {
    const expected = held.step === 0 ? seedDigest : ledger.get(held.step - 1)?.digest;
    if (expected !== held.digest) {
      await ledger.close();
      throw new CoordinatorError(
        'E_CHECKPOINT_LEDGER',
        `the checkpoint of step ${held.step} is state ${held.digest.slice(0, 12)}, the ledger says ${expected?.slice(0, 12) ?? 'nothing of it'}; ` +
          'they are not of the same run: restore both from one copy, or start in a new directory.',
      );
    }
  }
  return CoordinatorServer.listen({
    host: config.host,
    port: config.port,
    // A machine is not called by its name over loopback, unless its operator says so.
    names: [...(isLoopback(config.host) ? [] : machineNames), ...namesIn(config.allowedHosts)],
    settings: {
      run: record.runId,
      runSettings: {
        data,
        seed,
        recipe,
        wire: config.wire,
        checkpointEvery: config.checkpointEvery,
        dataDigest,
      },
      steps: recipe.steps,
      microbatches: recipe.globalBatch / recipe.microbatchSize,
      checkpointEvery: config.checkpointEvery,
      minWorkers: config.minWorkers,
      heartbeatTimeoutMs: config.heartbeatTimeoutMs,
      auditRate: config.auditRate,
      numerics: config.numerics,
      nonFinite: config.nonFinite,
      tiersFrom: TIERS_FROM,
    },
    recovered: {
      committed,
      generation: ledger.generation(),
      checkpoint: held,
      numerics: ledger.numericsClass(),
      reproducible: ledger.notReproducibleFrom() === null,
    },
    seedDigest,
    seedState: () => initialTrainingState(recipe, seed),
    globalBatch: recipe.globalBatch,
    keepCheckpoints: config.keepCheckpoints,
    evaluator:
      evaluator === undefined || config.evaluateEvery === 0
        ? null
        : {
            ...evaluator,
            everySteps: config.evaluateEvery * config.checkpointEvery,
            directory: config.out,
            device: config.device,
          },
    table: parameterTable(recipe.model),
    model: JSON.parse(JSON.stringify(recipe)) as JsonValue,
    ledger,
    store,
    incidents,
    clocks,
    report,
    trace,
  });
}

/**
 * What a stored config means today: it may have been written before the newer keys of recipes, and before there was a choice of
 * data and wire. As it is, if it holds no recipe.
 */
function meaningOf(stored: JsonValue): JsonValue {
  if (typeof stored !== 'object' || stored === null) return stored;
  const members = new Map<string, JsonValue>([
    ['data', MNIST],
    ['wire', 'int32'],
    ...Object.entries<JsonValue>(stored),
  ]);
  try {
    const recipe = JSON.parse(JSON.stringify(parseRecipe(members.get('recipe')))) as JsonValue;
    return Object.fromEntries(members.set('recipe', recipe));
  } catch (error) {
    if (error instanceof DiffusionError) return stored;
    throw error;
  }
}
