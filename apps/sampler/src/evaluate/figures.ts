/**
 * The figures that samples are judged by, each with its floor and ceiling: the same figure of as many test images, and of noise.
 * Pure: images, classifier and network come in.
 */
import type { Beside, ClosestPair, Evaluation, TrainingDistance } from '@lockstep/run';
import {
  FEATURES,
  type Images,
  type Judge,
  type Judgement,
  QUARTILES,
  type SquaredDistances,
  arrayPoints,
  chooseImages,
  coverageOf,
  frechetDistance,
  gaussianOf,
  nearestNeighbours,
  noiseErrorByQuartile,
  pixelPoints,
  precisionRecall,
} from '@lockstep/evaluation';
import { type EpsFunction, STREAMS, type Schedule, classBalance, fillNormal, valuesOf } from '@lockstep/diffusion';
import type { EvaluationData } from './evaluation-data.js';
import { IMAGES_A_BATCH } from '../draw/job.js';

/** Batches of the noise error, where the data has so many images: 2,048 images. */
const NOISE_ERROR_BATCHES = 256;

export interface FiguresTask {
  /** What the model drew. */
  readonly samples: Images;
  readonly data: EvaluationData;
  readonly judge: Judge;
  /** Of all test images. */
  readonly testSet: Judgement;
  /** Among features, and among images' pixels. */
  readonly distances: { readonly features: SquaredDistances; readonly pixels: SquaredDistances };
  readonly network: { readonly schedule: Schedule; readonly eps: EpsFunction };
  /** Of the choice of images, and of all noise. */
  readonly seed: number;
  /** Told what is about to be computed. */
  readonly onPart: (text: string) => void;
}

type Figures = Pick<
  Evaluation,
  | 'frechetDistance'
  | 'frechetDistanceOfTestSet'
  | 'precision'
  | 'recall'
  | 'coverage'
  | 'classes'
  | 'trainingDistance'
  | 'closestPairs'
  | 'noiseError'
>;

/** @throws DiffusionError E_METRIC if there are more samples than test or training images, or too few */
export function figuresOf(task: FiguresTask): Figures {
  const { samples, data, judge, testSet, distances, network, seed, onPart } = task;
  const { train, test, classes } = data;
  const { count } = samples;
  onPart(`judging ${train.count} training images`);
  const trainingGaussian = gaussianOf(judge(train).features, FEATURES);
  const chosenTraining = chosenImages(train, chooseImages(train.count, count, seed));
  const reference = arrayPoints(judge(chosenTraining).features, FEATURES);
  const trainingPixels = pixelPoints(train);

  const figuresOfSet = (name: string, images: Images) => {
    onPart(`judging ${images.count} ${name}`);
    const { features, labels } = judge(images);
    const points = arrayPoints(features, FEATURES);
    const { nearest, squared } = nearestNeighbours(pixelPoints(images), trainingPixels, 1, distances.pixels);
    return {
      frechetDistance: frechetDistance(gaussianOf(features, FEATURES), trainingGaussian),
      ...precisionRecall(reference, points, distances.features),
      coverage: coverageOf(reference, points, distances.features),
      classes: classBalance(labels, classes),
      trainingDistance: distancesOf(squared),
      pairs: { labels, nearest, squared },
    };
  };
  const ofSamples = figuresOfSet('samples', samples);
  const ofTest = figuresOfSet('test images', chosenImages(test, chooseImages(test.count, count, seed)));
  const ofNoise = figuresOfSet('images of noise', noiseImages(samples, seed));
  const beside = <K extends keyof typeof ofSamples>(key: K): Beside<(typeof ofSamples)[K]> => ({
    samples: ofSamples[key],
    floor: ofTest[key],
    ceiling: ofNoise[key],
  });

  onPart('predicting noise of held-out and of training images');
  // The same number of both, so that they have the same timesteps and noise.
  const quarter = Math.floor(Math.min(train.count, test.count) / (IMAGES_A_BATCH * QUARTILES));
  const batches = Math.min(NOISE_ERROR_BATCHES, QUARTILES * quarter);
  const noiseError = (dataset: Images): [number, number, number, number] => {
    const errors = noiseErrorByQuartile({
      ...network,
      dataset,
      batchSize: IMAGES_A_BATCH,
      batches,
      seed,
    });
    return [errors[0], errors[1], errors[2], errors[3]];
  };
  return {
    frechetDistance: beside('frechetDistance'),
    frechetDistanceOfTestSet: frechetDistance(gaussianOf(testSet.features, FEATURES), trainingGaussian),
    precision: beside('precision'),
    recall: beside('recall'),
    coverage: beside('coverage'),
    classes: beside('classes'),
    trainingDistance: beside('trainingDistance'),
    closestPairs: closestPairs(samples, train, ofSamples.pairs),
    noiseError: { heldOut: noiseError(test), training: noiseError(train) },
  };
}

/** Images as the sampler draws them, -1 to 1 with what lies outside cut off, to bytes as a PNG has them. */
export function toBytes(drawn: Float32Array): Uint8Array {
  // Rounds to the nearest, and cuts off.
  return Uint8Array.from(new Uint8ClampedArray(Float32Array.from(drawn, (value) => (value + 1) * 127.5)));
}

function chosenImages({ images, shape }: Images, chosen: Uint32Array): Images {
  const d = valuesOf(shape);
  const some = new Uint8Array(chosen.length * d);
  chosen.forEach((index, i) => some.set(images.subarray(index * d, (index + 1) * d), i * d));
  return { images: some, count: chosen.length, shape };
}

/** As many images of what sampling starts from. */
function noiseImages({ count, shape }: Images, seed: number): Images {
  const noise = new Float32Array(count * valuesOf(shape));
  fillNormal(noise, { seed, stream: STREAMS.ceilingNoise, step: 0, position: 0 });
  return { images: toBytes(noise), count, shape };
}

/** Of squared distances to the nearest training image. */
function distancesOf(squared: Float64Array): TrainingDistance {
  const sorted = squared.map(Math.sqrt).sort();
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))];
  return { least: at(0), onePercent: at(0.01), median: at(0.5) };
}

/** The sample of each class that is nearest to a training image: over all classes it would always be a 1. */
function closestPairs(
  samples: Images,
  train: Images,
  found: { readonly labels: Uint8Array; readonly nearest: Uint32Array; readonly squared: Float64Array },
): ClosestPair[] {
  const closest = new Map<number, number>();
  found.labels.forEach((label, sample) => {
    const known = closest.get(label);
    if (known === undefined || found.squared[sample] < found.squared[known]) closest.set(label, sample);
  });
  return [...closest]
    .sort(([a], [b]) => a - b)
    .map(([label, sample]) => {
      const trainingImage = found.nearest[sample];
      return { label, sample, trainingImage, distance: pixelDistance(samples, sample, train, trainingImage) };
    });
}

/** Exact, where the blocks of distances are float32. */
function pixelDistance(a: Images, i: number, b: Images, j: number): number {
  const d = valuesOf(a.shape);
  let sum = 0;
  for (let p = 0; p < d; p++) sum += ((a.images[i * d + p] - b.images[j * d + p]) / 127.5) ** 2;
  return Math.sqrt(sum);
}
