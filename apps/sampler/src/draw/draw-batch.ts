/** Draws one batch after another with the engine. */
import {
  type Condition,
  type EpsFunction,
  type NetworkOptions,
  type Recipe,
  type Schedule,
  classCount,
  imagesARun,
  imageShapeOf,
  makeSchedule,
  networkEps,
  noLabel,
  predictionFunction,
  sampleSteps,
  valuesOf,
} from '@lockstep/diffusion';
import { compile, loadEngine, type Engine } from '@lockstep/engine';
import { IMAGES_A_BATCH, type DrawJob } from './job.js';

/** Tells how many steps of a batch are done; the images that the job keeps come at the end. */
export type BatchSteps = Generator<{ readonly done: number }, Float32Array, undefined>;

/**
 * Loads the engine and the job's graph, which the first worker of all records and keeps on disk.
 *
 * @returns draws batch 0, 1, ...
 * @throws EngineError; DiffusionError E_SAMPLER, E_RANDOM_KEY, also while a batch is drawn
 */
export function drawingOf(job: DrawJob): (batch: number) => BatchSteps {
  const { recipe, sampler, seed, weights, kept } = job;
  const { model } = recipe;
  const { schedule, epsOf } = networkOf(loadEngine(job.engine), recipe, weights, job.condition?.guidance ?? null);
  const shape = imageShapeOf(model);
  return function* (batch) {
    const eps = epsOf(conditionOf(job, batch));
    const firstImage = batch * IMAGES_A_BATCH;
    const steps = sampleSteps({ schedule, sampler, eps, seed, firstImage, count: IMAGES_A_BATCH, shape });
    const drawn = new Float32Array(kept.length * IMAGES_A_BATCH * valuesOf(shape));
    for (const { done, x } of steps) {
      const place = kept.indexOf(done);
      if (place >= 0) drawn.set(x, place * x.length);
      yield { done };
    }
    return drawn;
  };
}

function conditionOf({ recipe, condition }: DrawJob, batch: number): Condition | null {
  if (condition === null) return null;
  const labels = condition.labels.slice(batch * IMAGES_A_BATCH, (batch + 1) * IMAGES_A_BATCH);
  return { classes: classCount(recipe.model), labels, guidance: condition.guidance };
}

/** The network's prediction of the noise in IMAGES_A_BATCH images, compiled; with the schedule that its timesteps are of. */
export interface Network {
  readonly schedule: Schedule;
  readonly epsOf: (condition: Condition | null) => EpsFunction;
}

/** @param guidance that of every condition that comes; null for a network that knows no labels */
export function networkOf(engine: Engine, recipe: Recipe, weights: Float32Array, guidance: number | null): Network {
  const { model, networkTime, prediction } = recipe;
  const { fn, specs, identity } = predictionFunction(engine, model, imagesARun(IMAGES_A_BATCH, guidance));
  const compiled = compile(engine, fn, specs, { identity });
  const schedule = makeSchedule(recipe.schedule);
  const run: NetworkOptions['run'] = (inputs) => compiled.run(inputs);
  const network = { run, weights, n: IMAGES_A_BATCH, schedule, networkTime, prediction };
  return { schedule, epsOf: (condition) => networkEps({ ...network, condition }) };
}

/** A batch without labels; null for a network that knows none. */
export function unlabelled(recipe: Recipe): Condition | null {
  const classes = classCount(recipe.model);
  if (classes === 0) return null;
  return { classes, labels: new Int32Array(IMAGES_A_BATCH).fill(noLabel(classes)), guidance: 0 };
}
