/** Draws images from a run's newest checkpoint, with its moving-average (EMA) weights. */
import { DirectoryStore, openOutput, runPaths, type Checkpoint, type OutputFile } from '@lockstep/run';
import { cacheDirectoryIn, kernelsIn, localGpus, workerPlaces } from '@lockstep/config';
import {
  checkSampler,
  DiffusionError,
  imageShapeOf,
  parameterCount,
  parameterTable,
  parseRecipe,
  valuesOf,
  type Recipe,
} from '@lockstep/diffusion';
import type { EngineName } from '@lockstep/base';
import { engineDirectory, engineEnvironment, graphDirectory, type Device, type EngineOptions } from '@lockstep/engine';
import { mustBeAble } from '../ability.js';
import { animatedPng } from '../picture/apng.js';
import { animatedGif } from '../picture/gif.js';
import {
  chosenCells,
  chosenCondition,
  chosenSampler,
  type Cells,
  type ClassChoice,
  type SamplerChoice,
} from './options.js';
import { chosenClass, classNamesOf, namedRows, rowLabels } from './class-names.js';
import { SamplerError } from '../errors.js';
import { IMAGES_A_BATCH, THREADS, type DrawCondition, type DrawJob } from './job.js';
import { gridPixels, gridPng, gridRaster, type Grid } from '../picture/png.js';
import { drawBatches } from './pool.js';

/** A picture of so many pixels is held twice while it is written: some hundred MB. An animation's are counted together. */
const MOST_PIXELS = 100_000_000;
/** Frames of an animation: more only take longer to look at. */
const MOST_FRAMES = 50;
const FRAME_MS = 80;
/** The finished images are what one wants to look at. */
const LAST_FRAME_MS = 2000;

/** What images are drawn from a run, and with what. */
export interface ImagesRequest extends SamplerChoice {
  /** The run's directory. */
  readonly run: string;
  readonly seed: number;
  readonly device: Device;
  /** Worker processes, at most: there are never more than batches. The images do not depend on it. Null: one a processor, or one a GPU. */
  readonly workers: number | null;
  /** Number of processors at hand. */
  readonly processors: number;
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: (progress: DrawProgress) => void;
  readonly warn: (text: string) => void;
}

export interface DrawRequest extends ImagesRequest, Omit<ClassChoice, 'class'>, Cells {
  /** A class's name, its number, or none; null: every class in turn. */
  readonly class: string | number | null;
  /** File of the finished images. */
  readonly out: string;
  /** File of the denoising, a GIF where its name ends so, else an APNG; null: none. */
  readonly animate: string | null;
  readonly scale: number;
}

export interface DrawProgress {
  /** Denoising steps done, of all batches together. */
  readonly steps: number;
  readonly allSteps: number;
  /** Images that are drawn, and that there will be. */
  readonly images: number;
  readonly allImages: number;
}

export interface Drawn extends Cells {
  readonly step: number;
  readonly digest: string;
  readonly images: Float32Array;
  /** Names of the rows' classes, from the top; none where each row is of the class of its number, or there is no row a class. */
  readonly rowNames: readonly string[];
  /** A picture went to standard output, so messages do not belong there. */
  readonly isPrinted: boolean;
}

/**
 * Draws rows * columns images and writes them as one PNG, and on request their denoising as an animation; each file whole or
 * not at all (libs/run, output-file.ts).
 * @throws SamplerError; TaskError E_TASK_CANNOT; ConfigError E_CONFIG_GPUS; CheckpointError, also E_OUTPUT_*; DiffusionError E_SAMPLER, E_LABEL; WorkerFailure with a code of EngineError
 */
export async function draw(request: DrawRequest): Promise<Drawn> {
  // What takes minutes must not end with a file that cannot be written.
  const { out, animate } = outputsOf(request);
  const trainedBy = await mustBeAble(request.run, 'sample');
  const checkpoint = await newestCheckpoint(request);
  const { recipe, weights } = storedModel(checkpoint);
  const names = await classNamesOf(request);
  const choice = { ...request, class: chosenClass(request.class, names) };
  const cells = chosenCells(recipe.model, choice, request);
  const condition = chosenCondition(recipe.model, choice, cells);
  const still = jobOf({ recipe, weights }, condition, request, trainedBy);
  const job = request.animate === null ? still : { ...still, kept: keptSteps(still.sampler.steps) };
  const grid = {
    ...cells,
    shape: imageShapeOf(recipe.model),
    scale: request.scale,
    numbered: request.allClasses,
    ...rowLabels(names),
  };
  checkPixels(grid, job.kept.length);
  const frames = await drawFrames(job, cells.rows * cells.columns, request);
  const images = frames.at(-1) ?? new Float32Array(0);
  out.write(gridPng(images, grid));
  animate?.write(animation(animate.path, frames, grid));
  return {
    rowNames: request.allClasses ? namedRows(names, cells.rows) : [],
    isPrinted: out.isStandardOutput || (animate?.isStandardOutput ?? false),
    step: checkpoint.state.step,
    digest: checkpoint.manifest.stateDigest,
    ...cells,
    images,
  };
}

/** @throws CheckpointError E_OUTPUT_PATH; SamplerError E_SAMPLE_OPTION */
function outputsOf(request: Pick<DrawRequest, 'out' | 'animate'>): { out: OutputFile; animate: OutputFile | null } {
  const out = openOutput(request.out);
  const animate = request.animate === null ? null : openOutput(request.animate);
  checkTwo(['--out', out], ['--animate', animate]);
  return { out, animate };
}

type NamedByOption = readonly [string, OutputFile | null];

/** @throws SamplerError E_SAMPLE_OPTION if both options name one file */
export function checkTwo([option, first]: NamedByOption, [other, second]: NamedByOption): void {
  if (first === null || second === null || !first.isSameAs(second)) return;
  throw new SamplerError(
    'E_SAMPLE_OPTION',
    `${option} ${first.path} and ${other} ${second.path} are one file; name another one for one of them`,
  );
}

function animation(file: string, frames: readonly Float32Array[], grid: Grid): Buffer {
  const timed = frames.map((images, i) => ({
    images,
    milliseconds: i === frames.length - 1 ? LAST_FRAME_MS : FRAME_MS,
  }));
  return /\.gif$/i.test(file)
    ? animatedGif(timed.map(({ images, milliseconds }) => ({ raster: gridRaster(images, grid), milliseconds })))
    : animatedPng(timed.map(({ images, milliseconds }) => ({ png: gridPng(images, grid), milliseconds })));
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

/** A network as a checkpoint holds it. */
export type StoredModel = Pick<DrawJob, 'recipe' | 'weights'>;

/** What a checkpoint's network is, and its moving average. @throws SamplerError E_SAMPLE_MODEL */
export function storedModel(checkpoint: Checkpoint): StoredModel {
  const recipe = recipeOf(checkpoint);
  const P = parameterCount(parameterTable(recipe.model));
  const weights = checkpoint.state.ema;
  if (weights.length !== P)
    throw new SamplerError(
      'E_SAMPLE_MODEL',
      `the checkpoint has ${weights.length} parameters, its model ${P}; it is of another version of Lockstep`,
    );
  return { recipe, weights };
}

/** The recipe in the checkpoint's manifest, which may come from anywhere. */
function recipeOf({ manifest }: Checkpoint): Recipe {
  try {
    return parseRecipe(manifest.model);
  } catch (error) {
    if (!(error instanceof DiffusionError)) throw error;
    throw new SamplerError(
      'E_SAMPLE_MODEL',
      `the checkpoint's manifest does not describe a model of this version of Lockstep: ${error.message}`,
      { cause: error },
    );
  }
}

/**
 * The job of drawing images of which only the finished ones are kept.
 * @param condition of all images; null for a network that knows no labels
 * @param trainedBy what computed the run's gradients, and draws its images too
 * @throws SamplerError E_SAMPLE_OPTION; DiffusionError E_SAMPLER
 */
export function jobOf(
  { recipe, weights }: StoredModel,
  condition: DrawCondition | null,
  request: ImagesRequest,
  trainedBy: EngineName,
): DrawJob {
  const { device, env, seed } = request;
  const sampler = chosenSampler(recipe.sampler, request);
  checkSampler(sampler, recipe.schedule.T);
  const cache = cacheDirectoryIn(env);
  const kernels = kernelsIn(env);
  const engine: EngineOptions = {
    device,
    threads: THREADS,
    directory: engineDirectory(device, cache),
    graphs: graphDirectory(cache),
    // On a GPU there are no programs.
    engine: device === 'cpu' ? trainedBy : 'tensorflow',
    ...(kernels === undefined ? {} : { kernels }),
  };
  return { engine, recipe, sampler, seed, condition, kept: [sampler.steps], weights };
}

/** Evenly spaced, the last of all included. */
function keptSteps(steps: number): number[] {
  const frames = Math.min(steps, MOST_FRAMES);
  return Array.from({ length: frames }, (_, i) => Math.round(((i + 1) * steps) / frames));
}

function checkPixels(grid: Grid, frames: number): void {
  const { width, height } = gridPixels(grid);
  if (width * height * frames > MOST_PIXELS)
    throw new SamplerError(
      'E_SAMPLE_SIZE',
      `${frames === 1 ? 'a picture' : `${frames} pictures`} of ${width}x${height} pixels: more than the ${MOST_PIXELS} that are written; use a smaller --grid or --scale`,
    );
}

/** `count` images, one after another, and those that fill the last batch. @throws as draw */
export async function drawImages(job: DrawJob, count: number, request: ImagesRequest): Promise<Float32Array> {
  const frames = await drawFrames({ ...job, kept: [job.sampler.steps] }, count, request);
  return frames[0];
}

/** `count` images, one after another, after each of the steps that the job keeps. */
async function drawFrames(job: DrawJob, count: number, request: ImagesRequest): Promise<Float32Array[]> {
  const { model } = job.recipe;
  const batches = Math.ceil(count / IMAGES_A_BATCH);
  const batchSize = IMAGES_A_BATCH * valuesOf(imageShapeOf(model));
  const frames = job.kept.map(() => new Float32Array(batches * batchSize));
  const stepsDone = new Int32Array(batches);
  let batchesDrawn = 0;
  const progress = (): void =>
    request.onProgress({
      steps: stepsDone.reduce((sum, steps) => sum + steps, 0),
      allSteps: batches * job.sampler.steps,
      images: Math.min(batchesDrawn * IMAGES_A_BATCH, count),
      allImages: count,
    });
  await drawBatches({
    job,
    batches,
    environments: environmentsOf(job, batches, request),
    warn: request.warn,
    onStep: (batch, done) => {
      stepsDone[batch] = done;
      progress();
    },
    onDrawn: (batch, drawn) => {
      frames.forEach((images, i) => images.set(drawn.subarray(i * batchSize, (i + 1) * batchSize), batch * batchSize));
      batchesDrawn++;
      progress();
    },
  });
  return frames;
}

/** One environment a worker process. */
function environmentsOf(job: DrawJob, batches: number, request: ImagesRequest): NodeJS.ProcessEnv[] {
  const gpus = request.device === 'cuda' ? localGpus(request.env) : [];
  const wanted = request.workers ?? (request.device === 'cuda' ? gpus.length : request.processors);
  const environment = { ...request.env, ...engineEnvironment(job.engine) };
  return workerPlaces(request.device, Math.min(wanted, batches), gpus).map((place) => ({ ...environment, ...place }));
}
