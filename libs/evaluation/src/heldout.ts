/**
 * Mean squared error of the predicted noise, by quartile of t: on images that the network was not trained on it shows what it has
 * learned, and beside the same figure of training images, what it has learned by heart.
 */
import {
  type Dataset,
  DiffusionError,
  type EpsFunction,
  STREAMS,
  type Schedule,
  blocksOf,
  boundedIntegers,
  fillNormal,
  openUniform,
  pixelToFloat,
  valuesOf,
} from '@lockstep/diffusion';

export const QUARTILES = 4;

export type NoiseErrorTask = {
  readonly dataset: Pick<Dataset, 'images' | 'count' | 'shape'>;
  readonly schedule: Schedule;
  /** Of `batchSize` images at one timestep. */
  readonly eps: EpsFunction;
  readonly batchSize: number;
  /** Batches; a multiple of four. Batch b has its t in the b-th of so many equal parts of 1..T. */
  readonly batches: number;
  readonly seed: number;
};

/**
 * The unweighted mean over images and pixels of (eps - epsHat)^2, for t in each quarter of 1..T, small t first.
 *
 * Images are taken at random from the data set, each once; which, their t and their noise follow from the seed.
 *
 * @throws E_METRIC if the data set has too few images, or `batches` is no multiple of four
 */
export function noiseErrorByQuartile(task: NoiseErrorTask): number[] {
  const { dataset, schedule, eps, batchSize, batches, seed } = task;
  const size = valuesOf(dataset.shape);
  if (batches % QUARTILES !== 0 || batches < QUARTILES) {
    throw new DiffusionError('E_METRIC', `${batches} batches: use a multiple of ${QUARTILES}`);
  }
  const chosen = chooseImages(dataset.count, batches * batchSize, seed);
  const sums = Array.from({ length: QUARTILES }, () => 0);
  const [x, noise] = [new Float32Array(batchSize * size), new Float32Array(batchSize * size)];
  const words = new Uint32Array(4);
  for (let batch = 0; batch < batches; batch++) {
    blocksOf({ seed, stream: STREAMS.evaluationTimestep, step: 0, position: batch })(words, 0);
    const t = Math.min(1 + Math.floor((schedule.T * (batch + openUniform(words[0]))) / batches), schedule.T);
    fillNormal(noise, { seed, stream: STREAMS.evaluationNoise, step: 0, position: batch });
    const [signal, deviation] = [Math.sqrt(schedule.alphaBar[t]), Math.sqrt(1 - schedule.alphaBar[t])];
    for (let i = 0; i < x.length; i++) {
      const image = chosen[batch * batchSize + Math.floor(i / size)];
      x[i] = signal * pixelToFloat(dataset.images[image * size + (i % size)]) + deviation * noise[i];
    }
    const predicted = eps(x, t);
    const quartile = Math.floor((batch * QUARTILES) / batches);
    sums[quartile] += noise.reduce((sum, value, i) => sum + (value - predicted[i]) ** 2, 0);
  }
  return sums.map((sum) => (sum * QUARTILES) / (batches * x.length));
}

/**
 * `count` different images out of `of`, at random: the first ones of a data set may be unlike the rest, as MNIST's first 5,000 test
 * images are easier ones.
 *
 * @throws E_METRIC if there are not so many
 */
export function chooseImages(of: number, count: number, seed: number): Uint32Array {
  if (!Number.isInteger(count) || count < 1 || count > of) {
    throw new DiffusionError('E_METRIC', `${count} of ${of} images: ask for a whole number from 1 to ${of}`);
  }
  const next = boundedIntegers({ seed, stream: STREAMS.evaluationChoice, step: 0, position: 0 });
  const order = Uint32Array.from({ length: of }, (_, i) => i);
  // The first steps of Fisher-Yates choose as well as all of them.
  for (let i = 0; i < count; i++) {
    const other = i + next(of - i);
    [order[i], order[other]] = [order[other], order[i]];
  }
  return order.slice(0, count);
}
