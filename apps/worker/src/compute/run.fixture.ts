/** A tiny run on disk as a coordinator would leave it, made by one Trainer. */
import { DirectoryStore, Ledger, openRun, stateDigest, type JsonValue } from '@lockstep/run';
import { NON_FINITE } from '@lockstep/exact';
import { type RunSettings } from '@lockstep/comm';
import {
  initialTrainingState,
  loadMnist,
  parameterCount,
  parameterTable,
  parseRecipe,
  recipeOf,
  type Preset,
  type RecipeChanges,
} from '@lockstep/diffusion';
import type { Engine } from '@lockstep/engine';
import { allocateArena, copyState, openArena, snapshotOf, type Arena } from '#src/compute/arena.js';
import { describeEngine } from '#src/compute/engine-description.js';
import { agreedExponents, summandOf, sumFormOf, sumGradients } from '#src/compute/exact-sum.js';
import { Trainer, type Gradient } from '#src/compute/trainer.js';

export function tinySettings(changes: RecipeChanges = {}): RunSettings {
  return {
    task: { module: 'diffusion', code: { version: '1' } },
    data: 'mnist',
    seed: 3,
    recipe: recipeOf({ preset: 'tiny', steps: 20, globalBatch: 8, microbatchSize: 4, ...changes }),
    wire: 'int32',
    checkpointEvery: 2,
    dataDigest: loadMnist('train').digest,
  };
}

export function jsonOf(value: object): JsonValue {
  return JSON.parse(JSON.stringify(value)) as JsonValue;
}

/** Arena and Trainer at state 0. */
export function trainerAtStart(
  engine: Engine,
  settings: RunSettings,
): { arena: Arena; trainer: Trainer; recipe: Preset } {
  const recipe = parseRecipe(settings.recipe);
  const arena = openArena(allocateArena(parameterCount(parameterTable(recipe.model))));
  copyState(initialTrainingState(recipe, settings.seed), arena.state);
  return { arena, trainer: new Trainer(engine, settings, arena), recipe };
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
  const { arena, trainer, recipe } = trainerAtStart(engine, settings);
  const { record, paths } = await openRun(root, {
    runId: 'run-1',
    seed: settings.seed,
    dataDigest: settings.dataDigest,
    config: jsonOf({ preset: 'tiny', data: settings.data, wire: settings.wire, recipe }),
    createdAt: 1,
  });
  const ledger = await Ledger.open(paths.ledger);
  const publish = (folder: string, step: number) =>
    new DirectoryStore(folder).publish({
      runId: record.runId,
      state: { step, ...snapshotOf(arena.state) },
      table: trainer.table,
      model: jsonOf(recipe),
      createdAt: 1,
    });
  await ledger.setClass({ probe: trainer.probe(), engine: describeEngine(engine.identity) });
  const form = sumFormOf(settings, recipe);
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
      digest: stateDigest({ step: committed, ...arena.state }),
      at: 1,
    });
    if (plan.checkpoints.includes(committed)) await publish(paths.checkpoints, committed);
  }
  await ledger.close();
  return { committed, gradients: kept, arena };
}
