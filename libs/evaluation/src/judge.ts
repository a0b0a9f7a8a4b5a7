/** What the classifier says of many images: the features that their distribution is compared in, and their classes. */
import { type Engine, compile } from '@lockstep/engine';

import { classifierPrediction, FEATURES } from './classifier.js';
import type { ClassifierConfig } from './classifier.js';
import { trainClassifier } from './classifier-training.js';
import type { ClassifierRecipe, LabelledImages } from './classifier-training.js';
import { type Dataset, PIXEL_VALUES, valuesOf } from '@lockstep/diffusion';

/** Images of bytes, as in a data set. */
export type Images = Pick<Dataset, 'images' | 'count' | 'shape'>;

export type Judgement = {
  /** [count, FEATURES] */
  readonly features: Float32Array;
  /** [count] the most probable class of each. */
  readonly labels: Uint8Array;
};

/** Judges images of the classifier's shape. Call dispose() when no more come. */
export type Judge = ((images: Images) => Judgement) & { readonly dispose: () => void };

/** The last batch is filled up with its own first image, so one graph does. */
const BATCH = 200;

/** @param weights [P] of the classifier */
export function makeJudge(engine: Engine, config: ClassifierConfig, weights: Float32Array): Judge {
  const { fn, specs, identity } = classifierPrediction(engine, config, BATCH);
  const compiled = compile(engine, fn, specs, { identity });
  const size = valuesOf(config.shape);
  const { classes } = config;
  const judge = ({ images, count }: Images): Judgement => {
    const features = new Float32Array(count * FEATURES);
    const labels = new Uint8Array(count);
    const x = new Float32Array(BATCH * size);
    for (let first = 0; first < count; first += BATCH) {
      const here = Math.min(BATCH, count - first);
      const bytes = images.subarray(first * size, (first + here) * size);
      for (let i = 0; i < x.length; i++) x[i] = PIXEL_VALUES[bytes[i % bytes.length]];
      const [found, logits] = compiled.run([weights, x]);
      for (let i = 0; i < here * FEATURES; i++) features[first * FEATURES + i] = found[i];
      for (let i = 0; i < here; i++) labels[first + i] = largest(logits, i * classes, classes);
    }
    return { features, labels };
  };
  return Object.assign(judge, { dispose: () => compiled.dispose() });
}

/** Offset of the largest of `length` numbers from `start`. */
function largest(values: ArrayLike<number>, start: number, length: number): number {
  let best = 0;
  for (let i = 1; i < length; i++) if (values[start + i] > values[start + best]) best = i;
  return best;
}

/** Share of labels that are right. */
export function accuracyOf(given: Uint8Array, right: Uint8Array): number {
  return given.reduce((sum, label, i) => sum + (label === right[i] ? 1 : 0), 0) / given.length;
}

/**
 * Accuracy on `real` images of a classifier that has seen `synthetic` ones only: what labelled samples are worth as training data.
 * (Ravuri and Vinyals, "Classification accuracy score for conditional generative models", 2019.)
 *
 * @throws E_MODEL_CONFIG, E_CLASSIFIER_DATA
 */
export function trainOnSyntheticAccuracy(
  engine: Engine,
  config: ClassifierConfig,
  recipe: ClassifierRecipe,
  synthetic: LabelledImages,
  real: LabelledImages,
): number {
  const judge = makeJudge(engine, config, trainClassifier(engine, config, synthetic, recipe).ema);
  const { labels } = judge(real);
  judge.dispose();
  return accuracyOf(labels, real.labels);
}
