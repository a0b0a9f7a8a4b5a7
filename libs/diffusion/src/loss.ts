/**
 * The two functions of tensors that are compiled and run: a microbatch's gradient, and a prediction for sampling.
 *
 * Loss of Ho et al. 2020, equation 14, with a weight a sample: the mean over samples of weight * mean over pixels of
 * (eps - epsHat(x_t, t))^2, with x_t = sqrt(alphaBar_t) x0 + sqrt(1 - alphaBar_t) eps made inside the graph.
 */
import { codeDigest, exportModel } from '@lockstep/engine';
import type {
  Engine,
  FunctionIdentity,
  Stages,
  Tensor,
  TensorFunction,
  TensorSpec,
  TypedArray,
} from '@lockstep/engine';

import { DiffusionError } from './errors.js';
import { networkTimeOf } from './microbatch.js';
import type { Microbatch, NetworkTime } from './microbatch.js';
import { earlyFrom, forward, imageShape, parameterTable, unflatten } from './model.js';
import type { ModelConfig } from './model.js';
import { parameterCount, tensorOf } from './parameters.js';
import type { EpsFunction } from './sampler.js';
import type { Schedule } from './schedule.js';

/** A function for the engine's compile and runEager, with its inputs' shapes. */
export type GraphFunction = {
  readonly fn: TensorFunction;
  readonly specs: readonly TensorSpec[];
  /** By which its graph is kept on disk. */
  readonly identity: FunctionIdentity;
};

/** A gradient's function. Its gradient comes in two buckets, of which the first is made in a stage of its own. */
export type GradientFunction = GraphFunction & { readonly stages: Stages };

/** Of this library as it is loaded now: whatever changes in it changes the key of graphs on disk. */
const CODE = codeDigest(import.meta.url);

function float32(...shape: number[]): TensorSpec {
  return { shape, dtype: 'float32' };
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
export function gradientFunction(engine: Engine, config: ModelConfig, n: number): GradientFunction {
  const { tf } = engine;
  const table = parameterTable(config);
  const early = earlyFrom(config);
  const fn = ([weights, x0, eps, sqrtAlphaBar, sqrtOneMinusAlphaBar, t, lossWeight]: Tensor[]): Tensor[] => {
    const aSample = (values: Tensor): Tensor => tf.reshape(values, [n, 1, 1, 1]);
    const xt = tf.add(tf.mul(aSample(sqrtAlphaBar), x0), tf.mul(aSample(sqrtOneMinusAlphaBar), eps));
    const losses = (...parameters: Tensor[]): Tensor => {
      const error = tf.sub(forward(engine, config, parameters, xt, t), eps);
      return tf.mul(lossWeight, tf.mean(tf.square(error), [1, 2, 3]));
    };
    // The mean over samples enters as the derivative 1/n of each sample's loss.
    const { value, grads } = tf.valueAndGrads(losses)(unflatten(engine, table, weights), tf.fill([n], 1 / n));
    const flat = (gradients: Tensor[]): Tensor => tf.concat(gradients.map((gradient) => tf.reshape(gradient, [-1])));
    return [flat(grads.slice(early)), value, flat(grads.slice(0, early))];
  };
  const images = [n, ...imageShape(config)];
  const specs = [
    float32(parameterCount(table)),
    float32(...images),
    float32(...images),
    ...Array.from({ length: 4 }, () => float32(n)),
  ];
  const identity = { name: 'diffusion/gradient', parameters: { config, n }, code: CODE };
  return { fn, specs, identity, stages: [[0, 1], [2]] };
}

/** Where the outputs of a gradient function go, whose gradient is to lie in `into` [P]: the losses in an array of their own. */
export function gradientTargets(config: ModelConfig, into: Float32Array): (Float32Array | null)[] {
  const { offset } = parameterTable(config)[earlyFrom(config)];
  return [into.subarray(offset), null, into.subarray(0, offset)];
}

/** The inputs of a gradient function, in order. */
export function gradientInputs(weights: Float32Array, batch: Microbatch): Float32Array[] {
  return [weights, batch.x0, batch.eps, batch.sqrtAlphaBar, batch.sqrtOneMinusAlphaBar, batch.t, batch.lossWeight];
}

/**
 * The predicted noise of n images: inputs weights [P], x [n, rows, columns, channels], t [n]; output eps in x's shape.
 *
 * @throws E_MODEL_CONFIG if the config cannot be built
 */
export function predictionFunction(engine: Engine, config: ModelConfig, n: number): GraphFunction {
  const table = parameterTable(config);
  return {
    fn: ([weights, x, t]) => [forward(engine, config, unflatten(engine, table, weights), x, t)],
    specs: [float32(parameterCount(table)), float32(n, ...imageShape(config)), float32(n)],
    identity: { name: 'diffusion/prediction', parameters: { config, n }, code: CODE },
  };
}

/**
 * The prediction of n images as a TensorFlow SavedModel with the weights inside: inputs `x` and `t`, output `eps`, as those of
 * {@link predictionFunction}.
 *
 * @param weights [P]; the moving average, for a model that samples are drawn with
 * @returns the bytes of a saved_model.pb, of TensorFlow's own ops
 * @throws E_MODEL_CONFIG if the config cannot be built, E_PARAMETERS if the weights are not its own
 */
export function savedPrediction(engine: Engine, config: ModelConfig, weights: Float32Array, n: number): Uint8Array {
  const table = parameterTable(config);
  const tensors = table.map(({ name, shape }) => ({ shape: [...shape], values: tensorOf(table, weights, name) }));
  const predict =
    (plain: Engine): TensorFunction =>
    ([x, t]) => {
      const parameters = tensors.map(({ shape, values }) => plain.tf.tensor(values, shape));
      return [forward(plain, config, parameters, x, t)];
    };
  return exportModel(engine, predict, { x: float32(n, ...imageShape(config)), t: float32(n) }, ['eps']);
}

/**
 * The sampler's eps from a compiled prediction function.
 *
 * @param run the compiled function's run, of predictionFunction for n images: what the sampler's batch has
 * @param weights [P]; the moving average, in a sample that is meant to be looked at
 * @returns eps, which throws E_SAMPLER if the function gives something else than float32
 */
export function networkEps(
  run: (inputs: readonly Float32Array[]) => readonly TypedArray[],
  weights: Float32Array,
  n: number,
  schedule: Schedule,
  networkTime: NetworkTime,
): EpsFunction {
  const times = new Float32Array(n);
  return (x, t) => {
    const [eps] = run([weights, x, times.fill(networkTimeOf(networkTime, t, schedule.T))]);
    if (!(eps instanceof Float32Array)) {
      throw new DiffusionError('E_SAMPLER', 'the prediction is not float32: pass the run of a predictionFunction');
    }
    return eps;
  };
}
