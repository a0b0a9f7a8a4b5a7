/**
 * What `lockstep eval` found of one checkpoint: JSON, in evaluations/step-NNNNNNNN.json of the run's directory, read by the
 * coordinator and by whoever compares runs. Every figure of samples has its floor and its ceiling beside it, as it says
 * nothing alone: the same figure of as many real images that the network was not trained on, and of noise.
 */
import { z } from 'zod';
import { messageOf } from '@lockstep/base';
import { CheckpointError } from '../errors.js';

const FORMAT = 'lockstep-evaluation';
const VERSION = 1;

const count = z.int().nonnegative();
const amount = z.number().nonnegative();
const share = z.number().min(0).max(1);
const text = z.string().min(1);
/** A figure that is zero up to rounding may come out below. */
const figure = z.number();

function beside<T extends z.ZodType>(value: T) {
  return z.strictObject({ samples: value, floor: value, ceiling: value });
}

const classCounts = z.strictObject({ counts: z.array(count), chiSquared: amount, largestDeviation: amount });
const trainingDistance = z.strictObject({ least: amount, onePercent: amount, median: amount });
const closestPair = z.strictObject({ label: count, sample: count, trainingImage: count, distance: amount });
const quartiles = z.tuple([amount, amount, amount, amount]);

const evaluationSchema = z
  .strictObject({
    format: z.literal(FORMAT),
    version: z.literal(VERSION),
    runId: text,
    step: count,
    stateDigest: text,
    dataDigest: text,
    samples: z.int().positive(),
    sampler: z.json(),
    seed: count,
    classifier: z.strictObject({ digest: text, testAccuracy: share }),
    syntheticTraining: z.strictObject({ samples: z.int().positive(), testAccuracy: share }).optional(),
    frechetDistance: beside(figure),
    frechetDistanceOfTestSet: figure,
    precision: beside(share),
    recall: beside(share),
    coverage: beside(share),
    classes: beside(classCounts),
    trainingDistance: beside(trainingDistance),
    closestPairs: z.array(closestPair),
    noiseError: z.strictObject({ heldOut: quartiles, training: quartiles }),
  })
  .transform(({ format: _format, version: _version, ...evaluation }) => evaluation);

/** One figure of samples, of real test images, and of noise. */
export type Beside<T> = { readonly samples: T; readonly floor: T; readonly ceiling: T };

export type ClassCounts = {
  readonly counts: readonly number[];
  /** Against equal shares; about (classes - 1) by chance. */
  readonly chiSquared: number;
  /** Largest |count / fair count - 1|. */
  readonly largestDeviation: number;
};

/** Distances (Euclidean, pixels from -1 to 1) from an image to the nearest training image, over all images of a set. */
export type TrainingDistance = { readonly least: number; readonly onePercent: number; readonly median: number };

/** The sample of a class that is nearest to a training image, both by index. */
export type ClosestPair = {
  readonly label: number;
  readonly sample: number;
  readonly trainingImage: number;
  readonly distance: number;
};

export type Evaluation = {
  readonly runId: string;
  /** Of the checkpoint. */
  readonly step: number;
  readonly stateDigest: string;
  readonly dataDigest: string;
  /** Images drawn. */
  readonly samples: number;
  /** The sampler's config, opaque here. */
  readonly sampler: z.infer<ReturnType<typeof z.json>>;
  readonly seed: number;
  /** Figures of two classifiers cannot be compared. */
  readonly classifier: { readonly digest: string; readonly testAccuracy: number };
  /** What a classifier does on real test images that was trained on labelled samples alone, where that was asked for. */
  readonly syntheticTraining?: { readonly samples: number; readonly testAccuracy: number } | undefined;
  /** Squared, of the classifier's features, to the training set. */
  readonly frechetDistance: Beside<number>;
  /** The same of all test images: what is left of the floor when it is not that of few images. */
  readonly frechetDistanceOfTestSet: number;
  /** Against as many training images. */
  readonly precision: Beside<number>;
  readonly recall: Beside<number>;
  readonly coverage: Beside<number>;
  readonly classes: Beside<ClassCounts>;
  readonly trainingDistance: Beside<TrainingDistance>;
  /** One a class that was drawn. */
  readonly closestPairs: readonly ClosestPair[];
  /** Mean squared error of the predicted noise for t in each quarter of 1..T, small t first. */
  readonly noiseError: { readonly heldOut: Quartiles; readonly training: Quartiles };
};

type Quartiles = readonly [number, number, number, number];

/** The evaluation as indented JSON. @throws CheckpointError E_EVALUATION_FORMAT for what parseEvaluation would not read. */
export function encodeEvaluation(evaluation: Evaluation): string {
  const json = `${JSON.stringify({ format: FORMAT, version: VERSION, ...evaluation }, null, 2)}\n`;
  parseEvaluation(json);
  return json;
}

/** Reads what encodeEvaluation wrote. @throws CheckpointError E_EVALUATION_FORMAT. */
export function parseEvaluation(json: string): Evaluation {
  const refuse = (why: string, cause?: unknown): never => {
    throw new CheckpointError('E_EVALUATION_FORMAT', `the text is no evaluation: ${why}; evaluate the run again.`, {
      cause,
    });
  };
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    return refuse(messageOf(error), error);
  }
  const result = evaluationSchema.safeParse(value);
  return result.success ? result.data : refuse(z.prettifyError(result.error));
}
