/**
 * The classifier that a data set's samples are judged by: trained once, kept as a checkpoint in the cache folder.
 *
 * It is known by all that decides its bits: data, network, recipe of its training, and engine. So what is loaded is what
 * would be trained here, and figures of two evaluations compare exactly where their classifiers' digests are equal.
 */
import { createHash } from 'node:crypto';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, DirectoryStore, stateDigest, type JsonValue } from '@lockstep/run';
import { failureOf, FIRST_ARITHMETIC } from '@lockstep/base';
import { type ClassifierConfig, type ClassifierRecipe, classifierTable, trainClassifier } from '@lockstep/evaluation';
import type { Dataset } from '@lockstep/diffusion';
import type { Engine } from '@lockstep/engine';

/** One for each data set and engine that somebody evaluates with, 2 MB each. */
const MAX_CLASSIFIERS = 32;

export interface Classifier {
  /** [P] */
  readonly weights: Float32Array;
  /** stateDigest of the state at the end of its training. */
  readonly digest: string;
}

export interface ClassifierTask {
  readonly engine: Engine;
  /** Folder of all classifiers. */
  readonly folder: string;
  readonly config: ClassifierConfig;
  readonly recipe: ClassifierRecipe;
  readonly data: Dataset;
  /** Date of one that is trained now: milliseconds since the epoch. */
  readonly createdAt: number;
  /** So many steps of the training are done; not called for a stored one. */
  readonly onStep: (done: number) => void;
  readonly warn: (text: string) => void;
}

/**
 * The stored classifier if there is a whole one (sha256 of every file), else one trained now. A folder that cannot be used is
 * told to `warn`, and costs the training each time.
 * @throws DiffusionError E_MODEL_CONFIG, E_CLASSIFIER_DATA; EngineError
 */
export async function classifierFor(task: ClassifierTask): Promise<Classifier> {
  const { engine, folder, config, recipe, data, createdAt, onStep, warn } = task;
  const model = identityOf(task);
  const key = createHash('sha256').update(canonicalJson(model)).digest('hex');
  const store = new DirectoryStore(join(folder, key));
  const stored = await storedIn(store, recipe.steps, model, warn);
  if (stored !== null) return stored;
  // Of no run: evaluations name their classifiers by the digests that they always had.
  const arithmetic = FIRST_ARITHMETIC;
  const state = { step: recipe.steps, ...trainClassifier(engine, config, data, recipe, onStep) };
  try {
    await store.publish({ runId: key, state, table: classifierTable(config), model, arithmetic, createdAt });
    removeOldest(folder);
  } catch (error) {
    const { code, message } = failureOf(error);
    warn(`${code}: the classifier is not kept, the next evaluation trains it again: ${message}`);
  }
  return { weights: state.ema, digest: stateDigest(state, arithmetic) };
}

async function storedIn(
  store: DirectoryStore,
  step: number,
  model: JsonValue,
  warn: (text: string) => void,
): Promise<Classifier | null> {
  try {
    const { checkpoint, skipped } = await store.newest();
    for (const { code, reason } of skipped) warn(`${code}: the stored classifier is trained again: ${reason}`);
    if (checkpoint?.state.step !== step || canonicalJson(checkpoint.manifest.model) !== canonicalJson(model))
      return null;
    return { weights: checkpoint.state.ema, digest: checkpoint.manifest.stateDigest };
  } catch (error) {
    const { code, message } = failureOf(error);
    warn(`${code}: the stored classifier cannot be read and is trained again: ${message}`);
    return null;
  }
}

function identityOf({ engine, config, recipe, data }: ClassifierTask): JsonValue {
  const { tensorflow, device, threads, arch, cpuFlags } = engine.identity;
  // The bits of programs name no machine.
  const bits = engine.programs === null ? { tensorflow, device, threads, arch, cpuFlags } : 'program';
  return {
    config: { ...config },
    recipe: { ...recipe },
    data: data.digest,
    engine: bits,
  };
}

function removeOldest(folder: string): void {
  const byAge = readdirSync(folder)
    .flatMap((name) => {
      const path = join(folder, name);
      // A link to nowhere, or one that another process has just removed.
      const stats = statSync(path, { throwIfNoEntry: false });
      return stats === undefined ? [] : [{ path, modified: stats.mtimeMs }];
    })
    .sort((a, b) => b.modified - a.modified);
  for (const { path } of byAge.slice(MAX_CLASSIFIERS)) rmSync(path, { recursive: true, force: true });
}
