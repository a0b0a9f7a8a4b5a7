/** Starts a coordinator on a run directory: what is on disk decides where it goes on. */
import {
  type Checkpoint,
  CheckpointError,
  DirectoryStore,
  type DurableFs,
  Ledger,
  NO_TRACE,
  type RunPaths,
  type RunRecord,
  type StoredRun,
  type Trace,
  type TrainingState,
  configToStore,
  keepOrigin,
  makeRunFolders,
  openRun,
  originOf,
  readOrigin,
  runPaths,
  stateDigest,
} from '@lockstep/run';
import { isLoopback } from '@lockstep/comm';
import { namesIn, type LoadedConfig, type RunConfig } from '@lockstep/config';
import { initialState, openRunData, stateFrom, type Task, type TaskData } from '@lockstep/task';
import { askedRun, taskOn, type AskedRun } from './asked-run.js';
import type { Clocks } from '../decide/clocks.js';
import { CoordinatorError } from '../errors.js';
import type { EvaluatorSetting } from './evaluator.js';
import { HeldPort } from './held-port.js';
import { roomForConnections } from './open-files.js';
import type { Report } from './monitor.js';
import { CoordinatorServer } from './server.js';
import type { Recovered } from '../decide/state.js';
import { TIERS_FROM } from '../decide/topology.js';

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
  /** What takes in the phases of every step, if they are to be traced; asked for when the run's folder is there. */
  readonly trace?: () => Trace;
}

/**
 * Opens (or creates) the run in `config.out` and serves it. Nothing is written before all that was asked for is checked and the port is
 * held; of a new run, run.json is written last.
 * @param loaded the config, and what of it was given: only that is compared with a run that is there already
 * @throws ConfigError E_CONFIG_CONFLICT; CheckpointError (E_RUN_*, E_LEDGER_*, E_CHECKPOINT_*, E_ORIGIN_STATE); CoordinatorError
 *   (E_CHECKPOINT_LEDGER, E_ORIGIN_*); TaskError E_TASK_*, E_DATA_*, DiffusionError E_RECIPE, E_MNIST_* and others of the task's own; ListenError (E_PORT_IN_USE, E_LISTEN)
 */
export async function openCoordinator(
  loaded: LoadedConfig<RunConfig>,
  surroundings: Surroundings,
): Promise<CoordinatorServer> {
  const { config, given } = loaded;
  const asked = await askedRun(config, given);
  const { module, task: chosen, mustBe } = asked;
  const opened =
    mustBe === null ? await chosen.open(asked.data, 'train') : await openRunData(chosen, module, mustBe, asked.moved);
  const { task, data } = taskOn(asked, config, given, opened);
  const parent = asked.kind === 'from' ? await newestState(asked.parent, asked.parentRecord, surroundings.warn) : null;
  const port = await HeldPort.take(config);
  surroundings.tell?.(`data: ${data.description}, digest ${data.digest.slice(0, 12)}`);
  try {
    const server = await openOn(port, config, { ...asked, task }, data, parent, surroundings);
    const room = roomForConnections();
    if (room !== null) port.bound(room, surroundings.clocks, surroundings.warn);
    return server;
  } catch (error) {
    port.close();
    throw error;
  }
}

/** The newest whole checkpoint of the run that a new one starts from. @throws CoordinatorError E_ORIGIN_CHECKPOINT */
async function newestState(parent: string, { runId }: RunRecord, warn: (text: string) => void): Promise<Checkpoint> {
  const { checkpoint, skipped } = await new DirectoryStore(runPaths(parent).checkpoints).newest();
  for (const bad of skipped) warn(`${bad.code}: the checkpoint of step ${bad.step} is not used: ${bad.reason}`);
  if (checkpoint === undefined)
    throw new CoordinatorError(
      'E_ORIGIN_CHECKPOINT',
      `the run in ${parent} holds no whole checkpoint to start from; train it first: lockstep up --out ${parent} --resume`,
    );
  if (checkpoint.manifest.runId !== runId)
    throw new CoordinatorError(
      'E_ORIGIN_CHECKPOINT',
      `the newest checkpoint in ${parent} is of run ${checkpoint.manifest.runId}, its run.json of ${runId}; restore both from one copy`,
    );
  return checkpoint;
}

async function openOn(
  port: HeldPort,
  config: RunConfig,
  asked: AskedRun,
  data: TaskData,
  parent: Checkpoint | null,
  { clocks, freshRunId, machineNames = [], report, warn, tell, disk, evaluator, trace = () => NO_TRACE }: Surroundings,
): Promise<CoordinatorServer> {
  const { task, seed, wire, arithmetic, engine } = asked;
  const writing = { takeOver: config.takeOver, warn };
  const { paths, record, ledger } = await openRecords(config.out, asked, data, parent, freshRunId, clocks, writing);
  const { origin } = record;
  if (origin !== undefined)
    tell?.(`starts from step ${origin.step} of run ${origin.runId}, state ${origin.digest.slice(0, 12)}; seed ${seed}`);
  const store = new DirectoryStore(paths.checkpoints, disk === undefined ? {} : { disk });
  const incidents = new DirectoryStore(paths.incidents);
  try {
    await store.sweep();
    const startState = (): Promise<TrainingState> => startOf(config.out, record, task);
    const startDigest = stateDigest(await startState(), arithmetic);
    const found = await recoveredFrom(ledger, store, startDigest, warn);
    // Workers begin with the seed's state 0; another one only the coordinator has, as it has a checkpoint.
    const start = origin === undefined ? null : { step: 0, digest: startDigest };
    const recovered = { ...found, checkpoint: found.checkpoint ?? start };
    return new CoordinatorServer(port, {
      host: config.host,
      // A machine is not called by its name over loopback, unless its operator says so.
      names: [...(isLoopback(config.host) ? [] : machineNames), ...namesIn(config.allowedHosts)],
      settings: {
        run: record.runId,
        runSettings: {
          task: asked.reference,
          data: asked.moved ?? asked.data,
          seed,
          recipe: task.recipe,
          wire,
          arithmetic,
          engine,
          checkpointEvery: config.checkpointEvery,
          dataDigest: data.digest,
        },
        steps: task.steps,
        microbatches: task.globalBatch / task.microbatchSize,
        checkpointEvery: config.checkpointEvery,
        minWorkers: config.minWorkers,
        heartbeatTimeoutMs: config.heartbeatTimeoutMs,
        auditRate: config.auditRate,
        numerics: config.numerics,
        nonFinite: config.nonFinite,
        figures: data.figures ?? [],
        tiersFrom: TIERS_FROM,
      },
      recovered,
      startDigest,
      startState,
      globalBatch: task.globalBatch,
      keepCheckpoints: config.keepCheckpoints,
      evaluator:
        evaluator === undefined || config.evaluateEvery === 0
          ? null
          : {
              ...evaluator,
              everySteps: config.evaluateEvery * config.checkpointEvery,
              directory: config.out,
              data: asked.moved,
              device: config.device,
            },
      table: task.table,
      layout: task.layout,
      model: task.recipe,
      ledger,
      store,
      incidents,
      clocks,
      report,
      trace: trace(),
    });
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

interface Records {
  readonly paths: RunPaths;
  readonly record: RunRecord;
  readonly ledger: Ledger;
}

/** The run's record and its ledger. The ledger's lock comes first: of two processes that make a run at once, one does. */
async function openRecords(
  out: string,
  asked: AskedRun,
  { digest: dataDigest, count, classNames = [] }: TaskData,
  parent: Checkpoint | null,
  freshRunId: string,
  { wallNow }: Clocks,
  writing: Parameters<typeof Ledger.open>[1],
): Promise<Records> {
  const paths = await makeRunFolders(out);
  const ledger = await Ledger.open(paths.ledger, writing);
  try {
    if (asked.kind === 'existing') {
      await ledger.setOrigin(asked.record.origin ?? null);
      return { paths, record: asked.record, ledger };
    }
    const steps = (ledger.last()?.step ?? -1) + 1;
    if (steps > 0)
      throw new CheckpointError(
        'E_RUN_CORRUPT',
        `${out} holds a ledger of ${steps} steps, but no run.json; restore that, or choose another --out.`,
      );
    const origin = parent === null ? null : originOf(parent);
    if (parent !== null) await keepOrigin(out, parent, asked.task.layout);
    await ledger.setOrigin(origin);
    const proposal = {
      runId: freshRunId,
      seed: asked.seed,
      dataDigest,
      dataset: { count, classNames },
      config: configToStore(toStore(asked)),
      createdAt: wallNow(),
      ...(origin !== null && { origin }),
    };
    const { record } = await openRun(out, proposal);
    if (record.runId !== freshRunId)
      throw new CheckpointError('E_RUN_CONFLICT', `another process has made a run in ${out}; choose another --out.`);
    return { paths, record, ledger };
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

function toStore({ reference, preset, data, wire, arithmetic, engine, task }: AskedRun): StoredRun {
  const { steps, globalBatch, microbatchSize, recipe } = task;
  const kinds = { wire, arithmetic, engine };
  return { task: reference, preset, data, ...kinds, steps, globalBatch, microbatchSize, recipe };
}

/** State 0: from the seed, or from another run's state. @throws CheckpointError E_ORIGIN_STATE */
async function startOf(out: string, { origin, seed }: RunRecord, task: Task): Promise<TrainingState> {
  const start = origin === undefined ? initialState(task, seed) : stateFrom(await readOrigin(out, origin));
  return { step: 0, ...start };
}

/** @throws CoordinatorError E_CHECKPOINT_LEDGER */
async function recoveredFrom(
  ledger: Ledger,
  store: DirectoryStore,
  startDigest: string,
  warn: (text: string) => void,
): Promise<Recovered> {
  const committed = (ledger.last()?.step ?? -1) + 1;
  const ahead = (await store.list()).filter((of) => of > committed);
  if (ahead.length > 0)
    warn(
      `E_CHECKPOINT_AHEAD: the ledger ends with step ${committed}: checkpoints of later steps (${ahead.join(', ')}) are not used, their steps are done again`,
    );
  const { checkpoint, skipped } = await store.newest(committed);
  for (const bad of skipped) warn(`${bad.code}: the checkpoint of step ${bad.step} is not used: ${bad.reason}`);
  const held =
    checkpoint === undefined ? null : { step: checkpoint.state.step, digest: checkpoint.manifest.stateDigest };
  if (held !== null) {
    const expected = held.step === 0 ? startDigest : ledger.get(held.step - 1)?.digest;
    if (expected !== held.digest) {
      throw new CoordinatorError(
        'E_CHECKPOINT_LEDGER',
        `the checkpoint of step ${held.step} is state ${held.digest.slice(0, 12)}, the ledger says ${expected?.slice(0, 12) ?? 'nothing of it'}; ` +
          'they are not of the same run: restore both from one copy, or start in a new directory.',
      );
    }
  }
  return {
    committed,
    generation: ledger.generation(),
    checkpoint: held,
    numerics: ledger.numericsClass(),
    reproducible: ledger.notReproducibleFrom() === null,
  };
}
