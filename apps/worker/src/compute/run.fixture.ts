/** A tiny run on disk as a coordinator would leave it, made by one Trainer. */
import { toJson, type JsonObject } from '@lockstep/base';
import { openTask } from '@lockstep/catalog';
import { DirectoryStore, Ledger, configToStore, openRun, stateDigest } from '@lockstep/run';
import { NON_FINITE } from '@lockstep/exact';
import type { RunSettings } from '@lockstep/comm';
import { initialState, parameterCount, type Task } from '@lockstep/task';
import type { Engine } from '@lockstep/engine';
import { allocateArena, copyState, openArena, snapshotOf, type Arena } from '#src/compute/arena.js';
import { describeEngine } from '#src/compute/engine-description.js';
import { agreedExponents, summandOf, sumFormOf, sumGradients } from '#src/compute/exact-sum.js';
import { runHere } from '#src/compute/run-here.js';
import { Trainer, type Gradient } from '#src/compute/trainer.js';

const DIFFUSION = 'diffusion';
const { module, code } = await openTask(DIFFUSION);

/** The task of the tiny preset, with changes. */
export function tinyTask(changes: JsonObject = {}): Task {
  const choice = { preset: 'tiny', steps: 20, globalBatch: 8, microbatchSize: 4, ...changes };
  if (module.begin === undefined) throw new Error('diffusion has no presets');
  return module.create(module.begin(choice).recipe);
}

const { digest: dataDigest } = await tinyTask().open('mnist', 'train');

export function tinySettings(changes: JsonObject = {}): RunSettings {
  const { recipe } = tinyTask(changes);
  const task = { module: DIFFUSION, code: { ...code } };
  const kinds = { wire: 'int32', arithmetic: 2, engine: 'tensorflow' } as const;
  return { task, data: 'mnist', seed: 3, recipe, ...kinds, checkpointEvery: 2, dataDigest };
}

/** What run.json says of it. */
export function storedConfig({ task, data, wire, arithmetic, engine, recipe }: RunSettings): JsonObject {
  const { steps, globalBatch, microbatchSize } = tinyTask();
  return configToStore({
    task,
    preset: 'tiny',
    data,
    wire,
    arithmetic,
    engine,
    steps,
    globalBatch,
    microbatchSize,
    recipe: toJson(recipe),
  });
}

/** Arena and Trainer at state 0. */
async function trainerAtStart(
  engine: Engine,
  settings: RunSettings,
): Promise<{ arena: Arena; trainer: Trainer; task: Task }> {
  const run = await runHere(settings);
  const { task } = run;
  const arena = openArena(allocateArena(parameterCount(task.table)));
  copyState(initialState(task, settings.seed), arena.state);
  return { arena, trainer: new Trainer(engine, run, arena), task };
}

export interface WrittenRun {
  /** Steps committed; the step of this number met a number that is not finite, if one did. */
  readonly committed: number;
  /** Private copies, by `step/microbatch`. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly arena: Arena;
}

export interface RunPlan {
  readonly settings: RunSettings;
  readonly steps: number;
  /** States to publish under checkpoints/. */
  readonly checkpoints: readonly number[];
  /** A step that the ledger says was skipped. */
  readonly skipped?: number;
  /** Where incidents go when a gradient is not finite, which ends the run. */
  readonly incidents?: string;
}

/** Trains and writes run.json, ledger and checkpoints into `root`. */
export async function writeRun(engine: Engine, root: string, plan: RunPlan): Promise<WrittenRun> {
  const { settings } = plan;
  const { arena, trainer, task } = await trainerAtStart(engine, settings);
  const { record, paths } = await openRun(root, {
    runId: 'run-1',
    seed: settings.seed,
    dataDigest: settings.dataDigest,
    config: storedConfig(settings),
    createdAt: 1,
  });
  const ledger = await Ledger.open(paths.ledger);
  const publish = (folder: string, step: number) =>
    new DirectoryStore(folder).publish({
      runId: record.runId,
      state: { step, ...snapshotOf(arena.state) },
      table: trainer.table,
      model: task.recipe,
      arithmetic: settings.arithmetic,
      createdAt: 1,
    });
  await ledger.setClass({ probe: trainer.probe(), engine: describeEngine(engine.identity) });
  const form = sumFormOf(settings, task);
  const kept = new Map<string, Float32Array>();
  let committed = 0;
  for (let k = 0; k < plan.steps; k++) {
    const gradients: Gradient[] = [];
    for (let i = 0; i < form.microbatches; i++) {
      gradients.push(trainer.compute(k, i));
      kept.set(`${k}/${i}`, Float32Array.from(gradients[i].values));
    }
    const summands = gradients.map(({ values }) => summandOf(values, trainer.table, form));
    const exponents = agreedExponents(summands, trainer.table);
    if (exponents.includes(NON_FINITE)) {
      if (plan.incidents !== undefined) await publish(plan.incidents, k);
      break;
    }
    const skip = plan.skipped === k;
    if (!skip) sumGradients(arena.sum, summands, trainer.table, exponents, form);
    trainer.apply(k, [...exponents], skip);
    committed = k + 1;
    await ledger.append({
      step: k,
      generation: 1,
      plan: gradients.map(() => 'worker-0'),
      losses: gradients.map(({ loss }) => loss),
      samples: gradients.map(({ samples }) => samples),
      skipped: skip,
      digest: stateDigest(arena.state, settings.arithmetic),
      at: 1,
    });
    if (plan.checkpoints.includes(committed)) await publish(paths.checkpoints, committed);
  }
  await ledger.close();
  return { committed, gradients: kept, arena };
}
