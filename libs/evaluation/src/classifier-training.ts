/**
 * Training the classifier: epochs in random order, each image shifted by a few pixels, Adam with a cosine's learning rate, and the
 * moving average of the weights as the result. A pure function of data, recipe and numerics class.
 */
import type { StateArrays } from '@lockstep/base';
import { type Engine, compile } from '@lockstep/engine';

import { classifierGradient, initialClassifier } from './classifier.js';
import type { ClassifierConfig } from './classifier.js';
import {
  type Dataset,
  DiffusionError,
  PIXEL_VALUES,
  STREAMS,
  adamStep,
  boundedIntegers,
  emaDecayAt,
  learningRateAt,
  pixelToFloat,
  shuffled,
  valuesOf,
} from '@lockstep/diffusion';

/** Images with the class of each. */
export type LabelledImages = Pick<Dataset, 'images' | 'labels' | 'count' | 'shape'>;

export type ClassifierRecipe = {
  /** Raised when the training changes in a way that the other numbers do not say: stored classifiers are known by all of this. */
  readonly version: number;
  readonly seed: number;
  readonly batch: number;
  readonly steps: number;
  readonly peakLearningRate: number;
  readonly warmupSteps: number;
  readonly finalFraction: number;
  /** Each image is moved by -maxShift..maxShift pixels in both directions, and filled with background. */
  readonly maxShift: number;
  readonly emaMaxDecay: number;
};

export const CLASSIFIER_RECIPE: ClassifierRecipe = {
  version: 1,
  seed: 0,
  batch: 64,
  steps: 4000,
  peakLearningRate: 2e-3,
  warmupSteps: 100,
  finalFraction: 0.01,
  maxShift: 2,
  emaMaxDecay: 0.998,
};

const ADAM = { beta1: 0.9, beta2: 0.999, eps: 1e-8, clipScale: 1 } as const;
const BACKGROUND = pixelToFloat(0);

/** Calls with the number of steps done and the step's mean cross-entropy, nats. */
export type OnClassifierStep = (done: number, loss: number) => void;

/**
 * Trains a classifier on labelled images.
 *
 * @returns the state after all steps; its moving average is the classifier
 * @throws E_MODEL_CONFIG, E_CLASSIFIER_DATA if there is no image or a label is not one of the config's classes
 */
export function trainClassifier(
  engine: Engine,
  config: ClassifierConfig,
  data: LabelledImages,
  recipe: ClassifierRecipe,
  onStep: OnClassifierStep = () => undefined,
): StateArrays {
  checkData(config, data);
  const { fn, specs, identity } = classifierGradient(engine, config, recipe.batch);
  const gradientOf = compile(engine, fn, specs, { identity });
  const weights = initialClassifier(config, recipe.seed);
  const zeros = (): Float32Array => new Float32Array(weights.length);
  const state = { weights, expAvg: zeros(), expAvgSq: zeros(), ema: weights.slice() };
  const schedule = { ...recipe, peak: recipe.peakLearningRate, warmup: recipe.warmupSteps, total: recipe.steps };
  const indexAt = endlessOrder(data.count, recipe.seed);
  for (let step = 0; step < recipe.steps; step++) {
    const { x, target } = classifierBatch(config, data, recipe, step, indexAt);
    const [gradient, losses] = gradientOf.run([weights, x, target]);
    adamStep(state, float32(gradient), {
      ...ADAM,
      step,
      learningRate: learningRateAt(step, schedule),
      emaDecay: emaDecayAt(step, recipe.emaMaxDecay),
    });
    onStep(step + 1, float32(losses).reduce((sum, loss) => sum + loss, 0) / recipe.batch);
  }
  gradientOf.dispose();
  return state;
}

/** The images of one step: x [batch, rows, columns, channels], shifted; target [batch, classes]. */
function classifierBatch(
  { classes }: ClassifierConfig,
  { images, labels, shape }: LabelledImages,
  { seed, batch, maxShift }: ClassifierRecipe,
  step: number,
  indexAt: (position: number) => number,
): { readonly x: Float32Array; readonly target: Float32Array } {
  const { rows, columns, channels } = shape;
  const [size, line] = [valuesOf(shape), columns * channels];
  const x = new Float32Array(batch * size).fill(BACKGROUND);
  const target = new Float32Array(batch * classes);
  for (let i = 0; i < batch; i++) {
    const index = indexAt(step * batch + i);
    target[i * classes + labels[index]] = 1;
    const next = boundedIntegers({ seed, stream: STREAMS.classifierShift, step, position: i });
    const [down, right] = [next(2 * maxShift + 1) - maxShift, next(2 * maxShift + 1) - maxShift];
    for (let row = Math.max(0, down); row < Math.min(rows, rows + down); row++) {
      const from = index * size + (row - down) * line - right * channels;
      const to = i * size + row * line;
      const [first, end] = [Math.max(0, right) * channels, Math.min(columns, columns + right) * channels];
      for (let v = first; v < end; v++) {
        x[to + v] = PIXEL_VALUES[images[from + v]];
      }
    }
  }
  return { x, target };
}

/** The image at each position of one epoch after another, each in an order of its own; positions must not fall by an epoch. */
function endlessOrder(count: number, seed: number): (position: number) => number {
  let epoch = -1;
  let order: Uint32Array = new Uint32Array();
  return (position) => {
    if (Math.floor(position / count) !== epoch) {
      epoch = Math.floor(position / count);
      order = shuffled(count, boundedIntegers({ seed, stream: STREAMS.classifierOrder, step: epoch, position: 0 }));
    }
    return order[position - epoch * count];
  };
}

function checkData({ classes }: ClassifierConfig, { count, labels }: LabelledImages): void {
  const wrong = labels.subarray(0, count).findIndex((label) => label >= classes);
  if (count < 1 || labels.length < count || wrong >= 0) {
    const what =
      wrong >= 0 ? `image ${wrong} has label ${labels[wrong]}` : `${count} images with ${labels.length} labels`;
    throw new DiffusionError(
      'E_CLASSIFIER_DATA',
      `${what}: use at least one image, each with a label below ${classes}`,
    );
  }
}

function float32(values: unknown): Float32Array {
  if (values instanceof Float32Array) return values;
  throw new TypeError('float32 by construction');
}
