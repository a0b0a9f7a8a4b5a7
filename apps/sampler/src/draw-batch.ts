/** Draws one batch after another with the engine. */
import {
  classCount,
  imagesARun,
  makeSchedule,
  networkEps,
  predictionFunction,
  sampleSteps,
  type Condition,
  type NetworkOptions,
} from '@lockstep/diffusion';
import { compile, loadEngine } from '@lockstep/engine';
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
  const engine = loadEngine(job.engine);
  const { model, networkTime, prediction } = job.recipe;
  const { sampler, seed, weights, kept } = job;
  const seen = imagesARun(IMAGES_A_BATCH, job.condition?.guidance ?? null);
  const { fn, specs, identity } = predictionFunction(engine, model, seen);
  const compiled = compile(engine, fn, specs, { identity });
  const schedule = makeSchedule(job.recipe.schedule);
  const run: NetworkOptions['run'] = (inputs) => compiled.run(inputs);
  const network = { run, weights, n: IMAGES_A_BATCH, schedule, networkTime, prediction };
  const imageSize = model.imageSize * model.imageSize * model.channels;
  return function* (batch) {
    const eps = networkEps({ ...network, condition: conditionOf(job, batch) });
    const firstImage = batch * IMAGES_A_BATCH;
    const steps = sampleSteps({ schedule, sampler, eps, seed, firstImage, count: IMAGES_A_BATCH, imageSize });
    const drawn = new Float32Array(kept.length * IMAGES_A_BATCH * imageSize);
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
