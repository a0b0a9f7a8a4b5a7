/** Draws one batch after another with the engine. */
import { makeSchedule, networkEps, predictionFunction, sampleSteps, type SampleProgress } from '@lockstep/diffusion';
import type { EpsFunction, Schedule } from '@lockstep/diffusion';
import { compile, loadEngine, type Engine } from '@lockstep/engine';
import { IMAGES_A_BATCH, type DrawJob } from './job.js';
import type { StoredRecipe } from './recipe.js';

/** The steps of one batch; the images come at the end. */
export type BatchSteps = Generator<SampleProgress, Float32Array, undefined>;

/**
 * Loads the engine and the job's graph, which the first worker of all records and keeps on disk.
 *
 * @returns draws batch 0, 1, ...
 * @throws EngineError; DiffusionError E_SAMPLER, E_RANDOM_KEY, also while a batch is drawn
 */
export function drawingOf({ engine: setting, recipe, sampler, seed, weights }: DrawJob): (batch: number) => BatchSteps {
  const { model } = recipe;
  const { schedule, eps } = networkOf(loadEngine(setting), recipe, weights);
  const imageSize = model.imageSize * model.imageSize * model.channels;
  return (batch) =>
    sampleSteps({ schedule, sampler, eps, seed, firstImage: batch * IMAGES_A_BATCH, count: IMAGES_A_BATCH, imageSize });
}

/** The network's prediction of the noise in IMAGES_A_BATCH images, compiled; with the schedule that its timesteps are of. */
export function networkOf(
  engine: Engine,
  recipe: StoredRecipe,
  weights: Float32Array,
): { readonly schedule: Schedule; readonly eps: EpsFunction } {
  const { fn, specs, identity } = predictionFunction(engine, recipe.model, IMAGES_A_BATCH);
  const compiled = compile(engine, fn, specs, { identity });
  const schedule = makeSchedule(recipe.schedule);
  const run = (inputs: readonly Float32Array[]): ReturnType<typeof compiled.run> => compiled.run(inputs);
  return { schedule, eps: networkEps(run, weights, IMAGES_A_BATCH, schedule, recipe.networkTime) };
}
