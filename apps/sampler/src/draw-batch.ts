/** Draws one batch after another with the engine. */
import { makeSchedule, networkEps, predictionFunction, sampleSteps, type SampleProgress } from '@lockstep/diffusion';
import { compile, loadEngine } from '@lockstep/engine';
import { IMAGES_A_BATCH, type DrawJob } from './job.js';

/** The steps of one batch; the images come at the end. */
export type BatchSteps = Generator<SampleProgress, Float32Array, undefined>;

/**
 * Loads the engine and the job's graph, which the first worker of all records and keeps on disk.
 *
 * @returns draws batch 0, 1, ...
 * @throws EngineError; DiffusionError E_SAMPLER, E_RANDOM_KEY, also while a batch is drawn
 */
export function drawingOf({ engine: setting, recipe, sampler, seed, weights }: DrawJob): (batch: number) => BatchSteps {
  const engine = loadEngine(setting);
  const { model, networkTime } = recipe;
  const { fn, specs, identity } = predictionFunction(engine, model, IMAGES_A_BATCH);
  const compiled = compile(engine, fn, specs, { identity });
  const schedule = makeSchedule(recipe.schedule);
  const eps = networkEps((inputs) => compiled.run(inputs), weights, IMAGES_A_BATCH, schedule, networkTime);
  const imageSize = model.imageSize * model.imageSize * model.channels;
  return (batch) =>
    sampleSteps({ schedule, sampler, eps, seed, firstImage: batch * IMAGES_A_BATCH, count: IMAGES_A_BATCH, imageSize });
}
