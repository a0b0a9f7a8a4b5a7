/** Draws images from a run's newest checkpoint, with its moving-average (EMA) weights. */
import { renameSync, writeFileSync } from 'node:fs';
import { DirectoryStore, runPaths, type Checkpoint } from '@lockstep/checkpoint';
import {
  makeSchedule,
  networkEps,
  parameterCount,
  parameterTable,
  predictionFunction,
  sample,
  type EpsFunction,
  type SamplerConfig,
} from '@lockstep/diffusion';
import { compile, type Engine } from '@lockstep/engine';
import { parseStoredRecipe, type StoredRecipe } from './recipe.js';
import { SamplerError } from './errors.js';
import { gridPng } from './png.js';

/** Images in one call of the network: large enough for its threads, small enough for a small machine's memory. */
const IMAGES_A_CALL = 32;

export interface DrawRequest {
  /** The run's directory. */
  readonly run: string;
  readonly out: string;
  readonly rows: number;
  readonly columns: number;
  readonly seed: number;
  /** Null: the preset's sampler. */
  readonly sampler: 'ddpm' | 'ddim' | null;
  readonly steps: number | null;
  readonly scale: number;
  readonly onStep: (done: number, steps: number) => void;
  readonly warn: (text: string) => void;
}

export interface Drawn {
  readonly step: number;
  readonly digest: string;
  readonly images: Float32Array;
}

/**
 * Draws rows * columns images and writes them as one PNG, whole or not at all.
 * @throws SamplerError E_SAMPLE_NO_CHECKPOINT, E_SAMPLE_MODEL; CheckpointError; DiffusionError E_SAMPLER; EngineError
 */
export async function draw(engine: Engine, request: DrawRequest): Promise<Drawn> {
  const checkpoint = await newestCheckpoint(request);
  const recipe = parseStoredRecipe(checkpoint.manifest.model);
  const [height, width] = [recipe.model.imageSize, recipe.model.imageSize];
  const count = request.rows * request.columns;
  const images = sampleImages(engine, checkpoint, recipe, count, request);
  const temporary = `${request.out}.${process.pid}.tmp`;
  writeFileSync(temporary, gridPng(images, request.rows, request.columns, height, width, request.scale));
  renameSync(temporary, request.out);
  return { step: checkpoint.state.step, digest: checkpoint.manifest.stateDigest, images };
}

async function newestCheckpoint({ run, warn }: DrawRequest): Promise<Checkpoint> {
  const { checkpoint, skipped } = await new DirectoryStore(runPaths(run).checkpoints).newest();
  for (const bad of skipped) warn(`${bad.code}: the checkpoint of step ${bad.step} is not used: ${bad.reason}`);
  if (checkpoint === undefined) {
    throw new SamplerError(
      'E_SAMPLE_NO_CHECKPOINT',
      `${run} holds no whole checkpoint; train first: npx lockstep up --out ${run}`,
    );
  }
  return checkpoint;
}

function sampleImages(
  engine: Engine,
  checkpoint: Checkpoint,
  recipe: StoredRecipe,
  count: number,
  request: DrawRequest,
): Float32Array {
  const { model } = recipe;
  const P = parameterCount(parameterTable(model));
  const weights = checkpoint.state.ema;
  if (weights.length !== P)
    throw new SamplerError(
      'E_SAMPLE_MODEL',
      `the checkpoint has ${weights.length} parameters, its model ${P}; it is of another version of Lockstep`,
    );
  const imageSize = model.imageSize * model.imageSize * model.channels;
  const batch = Math.min(IMAGES_A_CALL, count);
  const { fn, specs, identity } = predictionFunction(engine, model, batch);
  const compiled = compile(engine, fn, specs, { identity, warn: request.warn });
  const schedule = makeSchedule(recipe.schedule);
  const network = networkEps((inputs) => compiled.run(inputs), weights, batch, schedule, recipe.networkTime);
  // One graph has one batch size: a smaller last batch is padded, and the padding's prediction dropped.
  const eps: EpsFunction = (x, t) =>
    network(x.length === batch * imageSize ? x : grown(x, batch * imageSize), t).subarray(0, x.length);
  const images = new Float32Array(count * imageSize);
  const sampler = chosenSampler(recipe.sampler, request);
  const calls = Math.ceil(count / batch);
  for (let call = 0; call < calls; call++) {
    const firstImage = call * batch;
    const part = sample({
      schedule,
      sampler,
      eps,
      seed: request.seed,
      firstImage,
      count: Math.min(batch, count - firstImage),
      imageSize,
      onStep: (done, steps) => request.onStep(call * steps + done, calls * steps),
    });
    images.set(part, firstImage * imageSize);
  }
  compiled.dispose();
  return images;
}

function grown(x: Float32Array, length: number): Float32Array {
  const padded = new Float32Array(length);
  padded.set(x);
  return padded;
}

function chosenSampler(preset: SamplerConfig, { sampler, steps }: DrawRequest): SamplerConfig {
  switch (sampler) {
    case null:
      return { ...preset, steps: steps ?? preset.steps };
    case 'ddim':
      return { kind: 'ddim', steps: steps ?? 50, eta: 0, clip: true };
    case 'ddpm':
      return { kind: 'ddpm', steps: steps ?? 1000, variance: 'beta', clip: true };
    default:
      return sampler satisfies never;
  }
}
