/**
 * The two functions of tensors that are compiled and run: a microbatch's gradient, and a prediction for sampling.
 *
 * Loss of Ho et al. 2020, equation 14, with a weight a sample: the mean over samples of weight * mean over pixels of
 * (target - network(x_t, t, label))^2, with x_t = sqrt(alphaBar_t) x0 + sqrt(1 - alphaBar_t) eps made inside the graph. The
 * target is eps, or v = sqrt(alphaBar_t) eps - sqrt(1 - alphaBar_t) x0 (Salimans and Ho, "Progressive distillation for fast
 * sampling of diffusion models", 2022, appendix D).
 */
import {
  type Engine,
  type FunctionIdentity,
  type Stages,
  type Tensor,
  type TensorFunction,
  type TensorSpec,
  type TypedArray,
  codeDigest,
  exportModel,
} from '@lockstep/engine';

import { dimensionsOf } from '../data/image-shape.js';
import type { Microbatch } from './microbatch.js';
import { classCount, earlyFrom, forward, parameterTable, imageShapeOf, unflatten } from '../network/model.js';
import type { ModelConfig } from '../network/model.js';
import { parameterCount, tensorOf } from '@lockstep/task';
import type { Recipe } from '../recipe/presets.js';
import type { Prediction } from './schedule.js';

/** A function for the engine's compile and runEager, with its inputs' shapes. */
export type GraphFunction = {
  readonly fn: TensorFunction;
  readonly specs: readonly TensorSpec[];
  /** By which its graph is kept on disk. */
  readonly identity: FunctionIdentity;
};

/** A gradient's function. Its gradient comes in two buckets, of which the first is made in a stage of its own. */
export type GradientFunction = GraphFunction & {
  readonly stages: Stages;
  /** Where the outputs go so that the gradient lies in `into` [P]: the losses in an array of their own. */
  readonly targets: (into: Float32Array) => (Float32Array | null)[];
};

/** Of this library as it is loaded now: whatever changes in it changes the key of graphs on disk. */
export const DIFFUSION_CODE = codeDigest(new URL('..', import.meta.url));

function float32(...shape: number[]): TensorSpec {
  return { shape, dtype: 'float32' };
}

/** The labels of n images, which only a conditional network takes. */
function labelSpecs(config: ModelConfig, n: number): TensorSpec[] {
  return classCount(config) > 0 ? [{ shape: [n], dtype: 'int32' }] : [];
}

/**
 * Gradient of the mean loss of n samples.
 *
 * Inputs: weights [P], then a microbatch's arrays in the order of {@link gradientInputs}.
 * Outputs, in stages: the early bucket of the gradient of the mean over the n samples (model.ts, `earlyFrom`), and loss [n] of each
 * sample, weighted; then the late bucket.
 *
 * @throws E_MODEL_CONFIG if the config cannot be built
 */
export function gradientFunction(
  engine: Engine,
  config: ModelConfig,
  n: number,
  prediction: Prediction,
): GradientFunction {
  const table = parameterTable(config);
  const early = earlyFrom(config);
  const fn = ([weights, x0, eps, sqrtAlphaBar, sqrtOneMinusAlphaBar, t, lossWeight, labels]: Tensor[]): Tensor[] => {
    const { tf } = engine;
    const aSample = (values: Tensor): Tensor => tf.reshape(values, [n, 1, 1, 1]);
    const [signal, noise] = [aSample(sqrtAlphaBar), aSample(sqrtOneMinusAlphaBar)];
    const xt = tf.add(tf.mul(signal, x0), tf.mul(noise, eps));
    const target = prediction === 'v' ? tf.sub(tf.mul(signal, eps), tf.mul(noise, x0)) : eps;
    const losses = (...parameters: Tensor[]): Tensor => {
      const error = tf.sub(forward(engine, config, parameters, xt, t, labels), target);
      return tf.mul(lossWeight, tf.mean(tf.square(error), [1, 2, 3]));
    };
    // The mean over samples enters as the derivative 1/n of each sample's loss.
    const { value, grads } = tf.valueAndGrads(losses)(unflatten(engine, table, weights), tf.fill([n], 1 / n));
    const flat = (gradients: Tensor[]): Tensor => tf.concat(gradients.map((gradient) => tf.reshape(gradient, [-1])));
    return [flat(grads.slice(early)), value, flat(grads.slice(0, early))];
  };
  const images = [n, ...dimensionsOf(imageShapeOf(config))];
  const specs = [
    float32(parameterCount(table)),
    float32(...images),
    float32(...images),
    ...Array.from({ length: 4 }, () => float32(n)),
    ...labelSpecs(config, n),
  ];
  const identity = { name: 'diffusion/gradient', parameters: { config, n, prediction }, code: DIFFUSION_CODE };
  const { offset } = table[early];
  const targets = (into: Float32Array): (Float32Array | null)[] => [
    into.subarray(offset),
    null,
    into.subarray(0, offset),
  ];
  return { fn, specs, identity, stages: [[0, 1], [2]], targets };
}

/** A microbatch's arrays as inputs of a gradient function, after the weights. */
export function microbatchInputs(batch: Microbatch): TypedArray[] {
  const { x0, eps, sqrtAlphaBar, sqrtOneMinusAlphaBar, t, lossWeight, labels } = batch;
  const inputs = [x0, eps, sqrtAlphaBar, sqrtOneMinusAlphaBar, t, lossWeight];
  return labels === null ? inputs : [...inputs, labels];
}

/** The inputs of a gradient function, in order. */
export function gradientInputs(weights: Float32Array, batch: Microbatch): TypedArray[] {
  return [weights, ...microbatchInputs(batch)];
}

/**
 * What the network predicts of n images: inputs weights [P], x [n, rows, columns, channels], t [n] and, for a conditional network,
 * labels [n]; output in x's shape.
 *
 * @throws E_MODEL_CONFIG if the config cannot be built
 */
export function predictionFunction(engine: Engine, config: ModelConfig, n: number): GraphFunction {
  const table = parameterTable(config);
  return {
    fn: ([weights, x, t, labels]) => [forward(engine, config, unflatten(engine, table, weights), x, t, labels)],
    specs: [
      float32(parameterCount(table)),
      float32(n, ...dimensionsOf(imageShapeOf(config))),
      float32(n),
      ...labelSpecs(config, n),
    ],
    identity: { name: 'diffusion/prediction', parameters: { config, n }, code: DIFFUSION_CODE },
  };
}

/**
 * The prediction of n images as a TensorFlow SavedModel with the weights inside: inputs `x`, `t` and, for a conditional network,
 * `labels`, as those of {@link predictionFunction}; the output's name says what is predicted, `eps` or `v`.
 *
 * @param weights [P]; the moving average, for a model that samples are drawn with
 * @returns the bytes of a saved_model.pb, of TensorFlow's own ops
 * @throws E_MODEL_CONFIG if the config cannot be built, E_PARAMETERS if the weights are not its own
 */
export function savedPrediction(
  engine: Engine,
  { model, prediction }: Pick<Recipe, 'model' | 'prediction'>,
  weights: Float32Array,
  n: number,
): Uint8Array {
  const table = parameterTable(model);
  const tensors = table.map(({ name, shape }) => ({ shape: [...shape], values: tensorOf(table, weights, name) }));
  const predict =
    (plain: Engine): TensorFunction =>
    ([x, t, labels]) => {
      const parameters = tensors.map(({ shape, values }) => plain.tf.tensor(values, shape));
      return [forward(plain, model, parameters, x, t, labels)];
    };
  const inputs = { x: float32(n, ...dimensionsOf(imageShapeOf(model))), t: float32(n) };
  const [labels] = labelSpecs(model, n);
  return exportModel(engine, predict, classCount(model) > 0 ? { ...inputs, labels } : inputs, [prediction]);
}
