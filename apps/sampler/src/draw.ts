/** Draws images from a run's newest checkpoint, with its moving-average (EMA) weights. */
import { renameSync, writeFileSync } from 'node:fs';
import { DirectoryStore, runPaths, type Checkpoint } from '@lockstep/checkpoint';
import { localGpus, workerPlaces } from '@lockstep/config';
import { parameterCount, parameterTable, type SamplerConfig } from '@lockstep/diffusion';
import { engineDirectory, engineEnvironment, graphDirectory, type Device } from '@lockstep/engine';
import { SamplerError } from './errors.js';
import { IMAGES_A_BATCH, THREADS, type DrawJob } from './job.js';
import { gridPixels, gridPng } from './png.js';
import { drawBatches } from './pool.js';
import { parseStoredRecipe, type StoredRecipe } from './recipe.js';

/** A picture of this many grey pixels is held twice while it is written: some hundred MB. */
const MOST_PIXELS = 100_000_000;

/** What images are drawn from a run, and with what. */
export interface ImagesRequest {
  /** The run's directory. */
  readonly run: string;
  readonly seed: number;
  /** Null: the preset's sampler. */
  readonly sampler: 'ddpm' | 'ddim' | null;
  readonly steps: number | null;
  readonly device: Device;
  /** Worker processes, at most: there are never more than batches. The images do not depend on it. Null: one a processor, or one a GPU. */
  readonly workers: number | null;
  /** Number of processors at hand. */
  readonly processors: number;
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: (progress: DrawProgress) => void;
  readonly warn: (text: string) => void;
}

export interface DrawRequest extends ImagesRequest {
  readonly out: string;
  readonly rows: number;
  readonly columns: number;
  readonly scale: number;
}

export interface DrawProgress {
  /** Denoising steps done, of all batches together. */
  readonly steps: number;
  readonly allSteps: number;
  /** Images that are drawn. */
  readonly images: number;
}

export interface Drawn {
  readonly step: number;
  readonly digest: string;
  readonly images: Float32Array;
}

/**
 * Draws rows * columns images and writes them as one PNG, whole or not at all.
 * @throws SamplerError; ConfigError E_CONFIG_GPUS; CheckpointError; WorkerFailure with a code of EngineError, or DiffusionError E_SAMPLER
 */
export async function draw(request: DrawRequest): Promise<Drawn> {
  const checkpoint = await newestCheckpoint(request);
  const job = jobOf(checkpoint, request);
  const size = job.recipe.model.imageSize;
  checkPixels(request, size);
  const images = await drawImages(job, request.rows * request.columns, request);
  const temporary = `${request.out}.${process.pid}.tmp`;
  writeFileSync(temporary, gridPng(images, request.rows, request.columns, size, size, request.scale));
  renameSync(temporary, request.out);
  return { step: checkpoint.state.step, digest: checkpoint.manifest.stateDigest, images };
}

/** @throws SamplerError E_SAMPLE_NO_CHECKPOINT; CheckpointError E_CHECKPOINT_READ */
export async function newestCheckpoint({ run, warn }: Pick<ImagesRequest, 'run' | 'warn'>): Promise<Checkpoint> {
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

/** What a checkpoint's network is, and its moving average. @throws SamplerError E_SAMPLE_MODEL */
export function storedModel(checkpoint: Checkpoint): { recipe: StoredRecipe; weights: Float32Array } {
  const recipe = parseStoredRecipe(checkpoint.manifest.model);
  const P = parameterCount(parameterTable(recipe.model));
  const weights = checkpoint.state.ema;
  if (weights.length !== P)
    throw new SamplerError(
      'E_SAMPLE_MODEL',
      `the checkpoint has ${weights.length} parameters, its model ${P}; it is of another version of Lockstep`,
    );
  return { recipe, weights };
}

/** @throws SamplerError E_SAMPLE_MODEL */
export function jobOf(checkpoint: Checkpoint, request: ImagesRequest): DrawJob {
  const { recipe, weights } = storedModel(checkpoint);
  const { device, env, seed } = request;
  const engine = { device, threads: THREADS, directory: engineDirectory(device, env), graphs: graphDirectory(env) };
  return { engine, recipe, sampler: chosenSampler(recipe.sampler, request), seed, weights };
}

function checkPixels({ rows, columns, scale }: DrawRequest, size: number): void {
  const { width, height } = gridPixels(rows, columns, size, size, scale);
  if (width * height > MOST_PIXELS)
    throw new SamplerError(
      'E_SAMPLE_SIZE',
      `a picture of ${width}x${height} pixels is more than the ${MOST_PIXELS} that are written; use a smaller --grid or --scale`,
    );
}

/** `count` images, one after another, and those that fill the last batch. @throws as draw */
export async function drawImages(job: DrawJob, count: number, request: ImagesRequest): Promise<Float32Array> {
  const { model } = job.recipe;
  const batches = Math.ceil(count / IMAGES_A_BATCH);
  const batchSize = IMAGES_A_BATCH * model.imageSize * model.imageSize * model.channels;
  const images = new Float32Array(batches * batchSize);
  const stepsDone = new Int32Array(batches);
  let batchesDrawn = 0;
  const progress = (): void =>
    request.onProgress({
      steps: stepsDone.reduce((sum, steps) => sum + steps, 0),
      allSteps: batches * job.sampler.steps,
      images: Math.min(batchesDrawn * IMAGES_A_BATCH, count),
    });
  const gpus = request.device === 'cuda' ? localGpus(request.env) : [];
  const wanted = request.workers ?? (request.device === 'cuda' ? gpus.length : request.processors);
  const environment = { ...request.env, ...engineEnvironment(job.engine) };
  await drawBatches({
    job,
    batches,
    environments: workerPlaces(request.device, Math.min(wanted, batches), gpus).map((place) => ({
      ...environment,
      ...place,
    })),
    warn: request.warn,
    onStep: (batch, done) => {
      stepsDone[batch] = done;
      progress();
    },
    onDrawn: (batch, drawn) => {
      images.set(drawn, batch * batchSize);
      batchesDrawn++;
      progress();
    },
  });
  return images;
}

function chosenSampler(preset: SamplerConfig, { sampler, steps }: ImagesRequest): SamplerConfig {
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
