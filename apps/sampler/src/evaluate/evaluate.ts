/** Evaluates a run's newest checkpoint: draws samples with its EMA weights, and compares them with data and with noise. */
import { join } from 'node:path';
import {
  checkpointFolder,
  encodeEvaluation,
  openOutput,
  readRun,
  runPaths,
  type Evaluation,
  type RunRecord,
} from '@lockstep/run';
import { failureOf } from '@lockstep/base';
import { cacheDirectoryIn } from '@lockstep/config';
import {
  type ClassifierRecipe,
  FEATURES,
  type Images,
  accuracyOf,
  engineDistances,
  makeJudge,
  trainOnSyntheticAccuracy,
} from '@lockstep/evaluation';
import { classCount, valuesOf } from '@lockstep/diffusion';
import { loadEngineHere } from '@lockstep/engine';
import { classifierFor } from './classifier-store.js';
import { mustBeAble } from '../ability.js';
import { chosenCondition } from '../draw/options.js';
import { networkOf, unlabelled } from '../draw/draw-batch.js';
import { checkTwo, drawImages, jobOf, newestCheckpoint, storedModel, type ImagesRequest } from '../draw/draw.js';
import { SamplerError } from '../errors.js';
import type { EvaluationData } from './evaluation-data.js';
import { evaluationPicture } from './evaluation-picture.js';
import { figuresOf, toBytes } from './figures.js';

/** Of fewer, the covariance of 84 features says nothing. */
const LEAST_SAMPLES = 100;
/** As many as MNIST has test images, which the floor is made of. */
const MOST_SAMPLES = 10_000;
/** As many as MNIST has training images, which they stand for. */
const MOST_SYNTHETIC = 60_000;
/** Steps of the classifier's training between two words about it: some seconds. */
const TOLD_EVERY = 200;

export interface EvaluateRequest extends ImagesRequest {
  /** Images to draw. */
  readonly samples: number;
  /** Labelled images that a classifier is trained on, to be tested on real ones; null: none is. */
  readonly synthetic: number | null;
  /** Of a conditional network; null: the usual one. */
  readonly guidance: number | null;
  /** JSON file; null: evaluations/step-NNNNNNNN.json in the run's directory. */
  readonly out: string | null;
  /** PNG file; null: beside, with the same name. */
  readonly picture: string | null;
  /** How the classifier is trained; figures of two recipes do not compare. */
  readonly classifier: ClassifierRecipe;
  /** Folder in which classifiers are kept. */
  readonly classifiers: string;
  /** The data of a run, by its digest. */
  readonly dataOf: (record: RunRecord) => EvaluationData | Promise<EvaluationData>;
  /** Date of what is kept: milliseconds since the epoch. */
  readonly wallNow: number;
  /** Told what is being done. */
  readonly onPart: (text: string) => void;
  /** `env` is process.env itself: the engine reads its settings there. */
  readonly env: NodeJS.ProcessEnv;
}

export interface Evaluated {
  readonly evaluation: Evaluation;
  readonly out: string;
  readonly picture: string;
  /** One of them went to standard output, so the table does not belong there. */
  readonly isPrinted: boolean;
}

/**
 * Draws, judges and writes both files, each whole or not at all. The figures are a function of the checkpoint, the samples'
 * number, sampler and seed, and the numerics class.
 * @throws SamplerError; TaskError E_TASK_CANNOT; ConfigError E_CONFIG_GPUS; CheckpointError; DiffusionError; EngineError; WorkerFailure
 */
export async function evaluate(request: EvaluateRequest): Promise<Evaluated> {
  const { run, samples: count, seed, env, onPart, warn } = request;
  if (!(count >= LEAST_SAMPLES && count <= MOST_SAMPLES))
    throw new SamplerError('E_EVALUATE_SAMPLES', `${count} samples: use ${LEAST_SAMPLES} to ${MOST_SAMPLES}`);
  const record = await readRun(run);
  const trainedBy = await mustBeAble(run, 'evaluate');
  const checkpoint = await newestCheckpoint(request);
  const model = storedModel(checkpoint);
  const classes = classCount(model.recipe.model);
  checkSynthetic(request.synthetic, classes);
  // A network is always given the same share of each class.
  const drawnCount = Math.max(count, request.synthetic ?? 0);
  const evenly = { class: null, allClasses: false, guidance: request.guidance };
  const condition = chosenCondition(model.recipe.model, evenly, { rows: drawnCount, columns: 1 });
  const job = jobOf(model, condition, request, trainedBy);
  const name = join(runPaths(run).evaluations, checkpointFolder(checkpoint.state.step));
  // What takes minutes must not end with a file that cannot be written.
  const out = writing(() => openOutput(request.out ?? `${name}.json`, { makeFolder: true }));
  const picture = writing(() => openOutput(request.picture ?? `${name}.png`, { makeFolder: true }));
  checkTwo(['--out', out], ['--picture', picture]);
  const data = await request.dataOf(record);
  checkCompared(count, data);
  const { shape } = data.train;
  const engine = loadEngineHere({ ...job.engine, cache: cacheDirectoryIn(env) }, env);

  const config = { kind: 'lenet', shape, classes: data.classes } as const;
  const classifier = await classifierFor({
    engine,
    folder: request.classifiers,
    config,
    recipe: request.classifier,
    data: data.train,
    createdAt: request.wallNow,
    onStep: (done) => {
      if (done % TOLD_EVERY === 0) onPart(`training the classifier: ${done} of ${request.classifier.steps} steps`);
    },
    warn,
  });
  const judge = makeJudge(engine, config, classifier.weights);
  const testSet = judge(data.test);

  onPart(`drawing ${drawnCount} samples`);
  const drawn = toBytes(await drawImages(job, drawnCount, request));
  const firstDrawn = (of: number): Images => ({
    images: drawn.subarray(0, of * valuesOf(shape)),
    count: of,
    shape,
  });
  const samples = firstDrawn(count);
  const distances = {
    features: engineDistances(engine, FEATURES),
    pixels: engineDistances(engine, valuesOf(shape)),
  };
  const blind = unlabelled(job.recipe);
  const { schedule, epsOf } = networkOf(engine, job.recipe, job.weights, blind?.guidance ?? null);
  const network = { schedule, eps: epsOf(blind) };
  const syntheticTraining = (): Pick<Evaluation, 'syntheticTraining'> => {
    if (request.synthetic === null || condition === null) return {};
    onPart(`training a classifier on ${request.synthetic} samples`);
    const labels = Uint8Array.from(condition.labels.subarray(0, request.synthetic));
    const labelled = { ...firstDrawn(request.synthetic), labels };
    const both = { ...config, classes: Math.max(classes, data.classes) };
    const testAccuracy = trainOnSyntheticAccuracy(engine, both, request.classifier, labelled, data.test);
    return { syntheticTraining: { samples: request.synthetic, testAccuracy } };
  };
  const evaluation: Evaluation = {
    runId: record.runId,
    step: checkpoint.state.step,
    stateDigest: checkpoint.manifest.stateDigest,
    dataDigest: record.dataDigest,
    samples: count,
    sampler: condition === null ? { ...job.sampler } : { ...job.sampler, guidance: condition.guidance },
    seed,
    classifier: { digest: classifier.digest, testAccuracy: accuracyOf(testSet.labels, data.test.labels) },
    ...syntheticTraining(),
    ...figuresOf({ samples, data, judge, testSet, distances, network, seed, onPart }),
  };
  const drawing = evaluationPicture({ evaluation, samples, train: data.train });
  writing(() => picture.write(drawing));
  writing(() => out.write(encodeEvaluation(evaluation)));
  return {
    evaluation,
    out: out.path,
    picture: picture.path,
    isPrinted: out.isStandardOutput || picture.isStandardOutput,
  };
}

/**
 * Samples are compared with as many test and training images.
 * @throws SamplerError E_EVALUATE_SAMPLES
 */
function checkCompared(samples: number, { train, test }: EvaluationData): void {
  const most = Math.min(train.count, test.count);
  if (samples <= most) return;
  const has = `the data has ${train.count} training and ${test.count} test images`;
  throw new SamplerError(
    'E_EVALUATE_SAMPLES',
    most < LEAST_SAMPLES
      ? `${has}: with fewer than ${LEAST_SAMPLES} of each, nothing can be said of samples`
      : `${has}, and ${samples} samples are compared with as many of each: use --samples ${most} or fewer`,
  );
}

/** @throws SamplerError E_SAMPLE_UNCONDITIONAL, E_EVALUATE_SAMPLES */
function checkSynthetic(synthetic: number | null, classes: number): void {
  if (synthetic === null) return;
  if (classes === 0)
    throw new SamplerError(
      'E_SAMPLE_UNCONDITIONAL',
      'the run trained a network without classes, so its samples have no labels to train a classifier on; leave --synthetic out, or train with classes (lockstep up --classes)',
    );
  if (!(synthetic >= LEAST_SAMPLES && synthetic <= MOST_SYNTHETIC))
    throw new SamplerError(
      'E_EVALUATE_SAMPLES',
      `--synthetic is ${synthetic}: use ${LEAST_SAMPLES} to ${MOST_SYNTHETIC}`,
    );
}

/** @throws SamplerError E_EVALUATE_WRITE for what is wrong with a file */
function writing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new SamplerError('E_EVALUATE_WRITE', failureOf(error).message, { cause: error });
  }
}
