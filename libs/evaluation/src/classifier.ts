/**
 * The classifier that samples are judged by: a LeNet-5 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
 * document recognition", 1998) with ReLU and max pooling, without padding in its second convolution:
 *
 *   x [n, rows, columns, channels] -> conv 5x5 'same' -> pool 2 -> conv 5x5 'valid' -> pool 2 -> 120 -> features [n, 84] -> logits [n, classes]
 *
 * The 84 numbers before the last layer, after their ReLU, are the features in which distributions of images are compared.
 * Distances in them mean nothing beside those of another classifier.
 */
import { type Engine, type Tensor, type TensorSpec, codeDigest, rank4 } from '@lockstep/engine';

import {
  DIFFUSION_CODE,
  DiffusionError,
  type GraphFunction,
  type ImageShape,
  type Layer,
  type ParameterTable,
  STREAMS,
  dimensionsOf,
  initialise,
  parameterCount,
  shownShape,
  tableOf,
  unflatten,
} from '@lockstep/diffusion';

export type ClassifierConfig = {
  readonly kind: 'lenet';
  /** Of the images. */
  readonly shape: ImageShape;
  /** Labels are 0 .. classes - 1. */
  readonly classes: number;
};

/** Numbers an image is described by. */
export const FEATURES = 84;
/** Channels of the two convolutions; LeNet-5 has 6 and 16. */
const CHANNELS = [16, 32] as const;
const HIDDEN = 120;
const KERNEL = 5;
/** Below this the second convolution has nothing left to see. */
const LEAST_SIZE = 12;
const MOST_SIZE = 256;
const MOST_CLASSES = 256;

/** Of this library and of the one that it builds on, as they are loaded now. */
const CODE = `${codeDigest(new URL('.', import.meta.url))} ${DIFFUSION_CODE}`;

function float32(shape: number[]): TensorSpec {
  return { shape, dtype: 'float32' };
}

/** Rows or columns after both convolutions and poolings. */
function pooled(size: number): number {
  return Math.floor((Math.floor(size / 2) - KERNEL + 1) / 2);
}

function layersOf({ shape, classes }: ClassifierConfig): readonly Layer[] {
  const { rows, columns, channels } = shape;
  const fits = (value: number, least: number, most: number): boolean =>
    Number.isInteger(value) && value >= least && value <= most;
  if (![rows, columns].every((size) => fits(size, LEAST_SIZE, MOST_SIZE)) || !fits(classes, 2, MOST_CLASSES)) {
    throw new DiffusionError(
      'E_MODEL_CONFIG',
      `a classifier of images of ${shownShape(shape)} and ${classes} classes: use ${LEAST_SIZE} to ${MOST_SIZE} pixels a side and 2 to ${MOST_CLASSES} classes`,
    );
  }
  const [first, second] = CHANNELS;
  return [
    { kind: 'conv', name: 'conv1', kernel: KERNEL, from: channels, to: first },
    { kind: 'conv', name: 'conv2', kernel: KERNEL, from: first, to: second },
    { kind: 'linear', name: 'fc1', from: pooled(rows) * pooled(columns) * second, to: HIDDEN },
    { kind: 'linear', name: 'fc2', from: HIDDEN, to: FEATURES },
    { kind: 'linear', name: 'fc3', from: FEATURES, to: classes },
  ];
}

/** Where each tensor lies in the flat array. @throws E_MODEL_CONFIG */
export function classifierTable(config: ClassifierConfig): ParameterTable {
  return tableOf(layersOf(config));
}

/** Weights to start from, a function of config and seed. @throws E_MODEL_CONFIG, E_RANDOM_KEY */
export function initialClassifier(config: ClassifierConfig, seed: number): Float32Array {
  return initialise(layersOf(config), null, seed, STREAMS.classifierParameters);
}

type Output = { readonly features: Tensor; readonly logits: Tensor };

/** @param parameters the table's tensors, in its order */
function classify(engine: Engine, parameters: readonly Tensor[], x: Tensor): Output {
  const { tf } = engine;
  const [conv1, bias1, conv2, bias2, ...linear] = parameters;
  const layer = (h: Tensor, kernel: Tensor, bias: Tensor, padding: 'same' | 'valid'): Tensor =>
    tf.maxPool(rank4(tf.relu(tf.add(tf.conv2d(rank4(h), rank4(kernel), 1, padding), bias))), 2, 2, 'valid');
  const maps = layer(layer(x, conv1, bias1, 'same'), conv2, bias2, 'valid');
  const dense = (h: Tensor, index: number): Tensor => tf.add(tf.matMul(h, linear[2 * index]), linear[2 * index + 1]);
  const flat = tf.reshape(maps, [maps.shape[0], linear[0].shape[0]]);
  const features = tf.relu(dense(tf.relu(dense(flat, 0)), 1));
  return { features, logits: dense(features, 2) };
}

/**
 * Gradient of the mean cross-entropy of n labelled images.
 *
 * Inputs: weights [P], x [n, rows, columns, channels] from -1 to 1, target [n, classes], 1 at the label and 0 elsewhere.
 * Outputs: gradient [P]; cross-entropy [n] of each image, nats.
 *
 * @throws E_MODEL_CONFIG
 */
export function classifierGradient(engine: Engine, config: ClassifierConfig, n: number): GraphFunction {
  const table = classifierTable(config);
  const fn = ([weights, x, target]: Tensor[]): Tensor[] => {
    const { tf } = engine;
    const losses = (...parameters: Tensor[]): Tensor => {
      const { logits } = classify(engine, parameters, x);
      return tf.neg(tf.sum(tf.mul(target, tf.logSoftmax(logits)), 1));
    };
    const { value, grads } = tf.valueAndGrads(losses)(unflatten(engine, table, weights), tf.fill([n], 1 / n));
    return [tf.concat(grads.map((gradient) => tf.reshape(gradient, [-1]))), value];
  };
  const { shape, classes } = config;
  return {
    fn,
    specs: [[parameterCount(table)], [n, ...dimensionsOf(shape)], [n, classes]].map(float32),
    identity: { name: 'classifier/gradient', parameters: { config, n }, code: CODE },
  };
}

/**
 * What the classifier says of n images: inputs weights [P] and x [n, rows, columns, channels]; outputs features [n, FEATURES] and logits
 * [n, classes].
 *
 * @throws E_MODEL_CONFIG
 */
export function classifierPrediction(engine: Engine, config: ClassifierConfig, n: number): GraphFunction {
  const table = classifierTable(config);
  return {
    fn: ([weights, x]) => {
      const { features, logits } = classify(engine, unflatten(engine, table, weights), x);
      return [features, logits];
    },
    specs: [[parameterCount(table)], [n, ...dimensionsOf(config.shape)]].map(float32),
    identity: { name: 'classifier/prediction', parameters: { config, n }, code: CODE },
  };
}
