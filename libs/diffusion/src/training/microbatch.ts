/**
 * A microbatch's inputs: what the network is trained on in microbatch `index` of step `step`, as a pure function of the task.
 *
 * Samples, timesteps and noise belong to (step, position in the global batch) alone. How a step is cut into microbatches,
 * which worker asks, and in what order, changes nothing.
 */
import type { Dataset } from '../data/dataset.js';
import { valuesOf } from '../data/image-shape.js';
import { checkedLabel, dropsLabel, noLabel } from './labels.js';
import { PIXEL_VALUES } from '../data/pixels.js';
import { fillNormal, STREAMS, microbatchIndices } from '@lockstep/task';
import type { Prediction, Schedule } from './schedule.js';
import { minSnrWeight } from './schedule.js';
import type { TimestepSampling } from './timesteps.js';
import { stratifiedTimesteps, uniformTimestep } from './timesteps.js';

export type LossWeighting = 'none' | 'min-snr';
/** What the network sees of t = 1..T: the number itself, or the seed tutorial's t / T. */
export type NetworkTime = 'timestep' | 'fraction';

export type MicrobatchTask = {
  readonly seed: number;
  readonly dataset: Pick<Dataset, 'images' | 'labels' | 'count' | 'shape'>;
  readonly schedule: Schedule;
  /** Samples a step. */
  readonly globalBatch: number;
  /** Samples a microbatch; divides globalBatch. */
  readonly microbatchSize: number;
  readonly timesteps: TimestepSampling;
  readonly lossWeighting: LossWeighting;
  readonly prediction: Prediction;
  readonly networkTime: NetworkTime;
  /** Of the network; 0: it knows no labels. */
  readonly classes: number;
  /** Probability that a sample is trained without its label. */
  readonly labelDrop: number;
};

/** Inputs of the gradient function for n samples, each array one row a sample. */
export type Microbatch = {
  /** [n] which samples of the data set these are */
  readonly indices: Uint32Array;
  /** [n, rows, columns, channels], -1..1 */
  readonly x0: Float32Array;
  /** [n, rows, columns, channels], standard normal */
  readonly eps: Float32Array;
  /** [n] sqrt(alphaBar_t) */
  readonly sqrtAlphaBar: Float32Array;
  /** [n] sqrt(1 - alphaBar_t) */
  readonly sqrtOneMinusAlphaBar: Float32Array;
  /** [n] what the network sees of t */
  readonly t: Float32Array;
  /** [n] factor on the sample's squared error */
  readonly lossWeight: Float32Array;
  /** [n] 0 .. classes, which stands for none; null where the network knows no labels. */
  readonly labels: Int32Array | null;
};

/** Hang et al. 2023 chose 5. */
export const MIN_SNR_GAMMA = 5;

/** The number that the network is given for t = 1..T; the same in training and in sampling. */
export function networkTimeOf(networkTime: NetworkTime, t: number, T: number): number {
  switch (networkTime) {
    case 'timestep':
      return t;
    case 'fraction':
      return t / T;
    default:
      return networkTime satisfies never;
  }
}

/** The label that the sample at `position` is trained with. */
function labelOf({ seed, classes, labelDrop, dataset }: MicrobatchTask, step: number, position: number, image: number) {
  const label = checkedLabel(dataset.labels[image], classes);
  return dropsLabel(seed, step, position, labelDrop) ? noLabel(classes) : label;
}

function timestepsOf(task: MicrobatchTask, step: number, first: number): ArrayLike<number> {
  const { seed, globalBatch, microbatchSize, schedule } = task;
  switch (task.timesteps) {
    case 'uniform':
      return Array.from({ length: microbatchSize }, (_, i) => uniformTimestep(seed, step, first + i, schedule.T));
    case 'stratified':
      return stratifiedTimesteps(seed, step, globalBatch, schedule.T).subarray(first, first + microbatchSize);
    default:
      return task.timesteps satisfies never;
  }
}

/**
 * The inputs of one microbatch.
 *
 * @param step counted from 0
 * @param index 0 .. globalBatch / microbatchSize - 1
 * @throws E_MICROBATCH if the sizes do not divide or the step has no such microbatch; E_RANDOM_KEY for a bad seed or step;
 *   E_LABEL if the data has more classes than the network
 */
export function makeMicrobatch(task: MicrobatchTask, step: number, index: number): Microbatch {
  const { seed, dataset, schedule, globalBatch, microbatchSize: n } = task;
  const indices = microbatchIndices(seed, dataset.count, globalBatch, n, step, index);
  const first = index * n;
  const timesteps = timestepsOf(task, step, first);
  const size = valuesOf(dataset.shape);
  const batch = {
    indices,
    x0: new Float32Array(n * size),
    eps: new Float32Array(n * size),
    sqrtAlphaBar: new Float32Array(n),
    sqrtOneMinusAlphaBar: new Float32Array(n),
    t: new Float32Array(n),
    lossWeight: new Float32Array(n),
    labels: task.classes > 0 ? new Int32Array(n) : null,
  };
  for (let i = 0; i < n; i++) {
    const position = first + i;
    const t = timesteps[i];
    const image = indices[i] * size;
    for (let v = 0; v < size; v++) {
      batch.x0[i * size + v] = PIXEL_VALUES[dataset.images[image + v]];
    }
    fillNormal(batch.eps.subarray(i * size, (i + 1) * size), { seed, stream: STREAMS.noise, step, position });
    batch.sqrtAlphaBar[i] = Math.sqrt(schedule.alphaBar[t]);
    batch.sqrtOneMinusAlphaBar[i] = Math.sqrt(1 - schedule.alphaBar[t]);
    batch.t[i] = networkTimeOf(task.networkTime, t, schedule.T);
    if (task.lossWeighting === 'min-snr') {
      batch.lossWeight[i] = minSnrWeight(schedule, t, MIN_SNR_GAMMA, task.prediction);
    } else {
      batch.lossWeight[i] = 1;
    }
    if (batch.labels !== null) {
      batch.labels[i] = labelOf(task, step, position, indices[i]);
    }
  }
  return batch;
}
