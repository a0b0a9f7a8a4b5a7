/**
 * Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015, with epsilon outside the square root's bias
 * correction as PyTorch has it), clipping by the global norm, and the moving average (EMA) of the weights.
 *
 * Every worker applies the same update to the same bytes, so all arithmetic is float64 in the order of the elements, each
 * stored number is rounded once to float32, and nothing depends on a library's last bit.
 */
import { portableCosine } from './cosine.js';
import { BLOCK, NEWEST_ARITHMETIC, type Arithmetic, type StateArrays } from '@lockstep/base';
import { TaskError } from '../errors.js';

export type AdamStep = {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** This update's number, from 0: the bias correction uses step + 1. */
  readonly step: number;
  /** Factor on the gradient, from {@link clipScale}. */
  readonly clipScale: number;
  /** Fraction of the moving average that is kept. */
  readonly emaDecay: number;
};

/** base^exponent by repeated squaring: Math.pow's last bit has differed between JavaScript engines. */
export function integerPower(base: number, exponent: number): number {
  let power = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) {
      power *= square;
    }
    square *= square;
  }
  return power;
}

/** So many sums of squares, as one would be a chain of additions that wait for one another. */
const NORM_SUMS = 8;

/** The Euclidean norm, in float64: the root of {@link sumOfSquares}. A run's update takes the run's arithmetic. */
export function globalNorm(gradient: Float32Array, arithmetic: Arithmetic = NEWEST_ARITHMETIC): number {
  return Math.sqrt(sumOfSquares(gradient, arithmetic));
}

/**
 * In float64. Arithmetic 1: the squares of the elements i with i mod 8 = j are summed in order, and then the eight sums in pairs.
 * Arithmetic 2: so are those of each block of 65,536 elements, then its eight sums one after another, and then the blocks' sums.
 */
function sumOfSquares(gradient: Float32Array, arithmetic: Arithmetic): number {
  if (arithmetic === 1) {
    const [a, b, c, d, e, f, g, h] = interleavedSquares(gradient);
    return a + b + (c + d) + (e + f + (g + h));
  }
  let total = 0;
  for (let from = 0; from < gradient.length; from += BLOCK)
    total += interleavedSquares(gradient.subarray(from, from + BLOCK)).reduce((sum, each) => sum + each);
  return total;
}

/** [8] */
function interleavedSquares(numbers: Float32Array): Float64Array {
  const sums = new Float64Array(NORM_SUMS);
  for (let i = 0; i < numbers.length; i++) sums[i % NORM_SUMS] += numbers[i] * numbers[i];
  return sums;
}

/**
 * Factor that brings a gradient of this norm down to `maxNorm`: 1 if it is no longer than that, or if `maxNorm` is null.
 *
 * (Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.)
 */
export function clipScale(norm: number, maxNorm: number | null): number {
  return maxNorm !== null && norm > maxNorm ? maxNorm / norm : 1;
}

/**
 * One update of the state in place: Adam, then the moving average of the new weights, in one pass.
 *
 * @param gradient the mean gradient of the global batch, length P, not yet clipped
 * @throws E_OPTIMIZER if lengths differ or a hyperparameter is out of range; the state is untouched then
 */
export function adamStep(state: StateArrays, gradient: Float32Array, update: AdamStep): void {
  checkLengths(state, gradient);
  const { weights, expAvg, expAvgSq, ema } = state;
  const [beta1, beta2, fresh1, fresh2, stepSize, rootCorrection, eps, emaDecay, emaFresh, scale] = adamFactors(update);
  for (let i = 0; i < weights.length; i++) {
    const g = gradient[i] * scale;
    const m = beta1 * expAvg[i] + fresh1 * g;
    const v = beta2 * expAvgSq[i] + fresh2 * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    const w = Math.fround(weights[i] - (stepSize * m) / (Math.sqrt(v) * rootCorrection + eps));
    weights[i] = w;
    ema[i] = emaDecay * ema[i] + emaFresh * w;
  }
}

/**
 * What every element of an update is computed with: beta1, beta2, 1 - beta1, 1 - beta2, the corrected learning rate, the
 * second moment's root correction, eps, the average's decay, 1 - decay, the clip scale.
 *
 * @throws E_OPTIMIZER if a hyperparameter is out of range
 */
export function adamFactors(update: AdamStep): Float64Array {
  checkUpdate(update);
  const { beta1, beta2, eps, clipScale: scale, emaDecay } = update;
  const stepSize = update.learningRate / (1 - integerPower(beta1, update.step + 1));
  const rootCorrection = 1 / Math.sqrt(1 - integerPower(beta2, update.step + 1));
  return Float64Array.of(
    ...[beta1, beta2, 1 - beta1, 1 - beta2, stepSize, rootCorrection, eps],
    ...[emaDecay, 1 - emaDecay, scale],
  );
}

function checkLengths(state: StateArrays, gradient: Float32Array): void {
  const P = state.weights.length;
  for (const [name, array] of Object.entries({ ...state, gradient })) {
    if (array.length !== P) {
      throw new TaskError('E_OPTIMIZER', `${name} has ${array.length} numbers, weights ${P}: they must be equal`);
    }
  }
}

function checkUpdate(update: AdamStep): void {
  if (!Number.isSafeInteger(update.step) || update.step < 0) {
    throw new TaskError('E_OPTIMIZER', `step is ${update.step}: count updates from 0`);
  }
  for (const name of ['beta1', 'beta2'] as const) {
    if (!(update[name] >= 0 && update[name] < 1)) {
      throw new TaskError('E_OPTIMIZER', `${name} is ${update[name]}: use a number with 0 <= ${name} < 1`);
    }
  }
  if (!(update.emaDecay >= 0 && update.emaDecay <= 1)) {
    throw new TaskError('E_OPTIMIZER', `emaDecay is ${update.emaDecay}: use a number from 0 to 1`);
  }
  for (const name of ['learningRate', 'eps', 'clipScale'] as const) {
    if (!(update[name] >= 0 && update[name] < Infinity)) {
      throw new TaskError('E_OPTIMIZER', `${name} is ${update[name]}: use a finite number, 0 or more`);
    }
  }
}

export type LearningRateRecipe = {
  readonly peak: number;
  /** Steps of linear warm-up: step k of them has peak (k + 1) / warmup. */
  readonly warmup: number;
  /** The step at which the decay ends. */
  readonly total: number;
  /** The rate at the end and after it, as a fraction of the peak; 1 is a constant rate. */
  readonly finalFraction: number;
};

/**
 * Learning rate of update `step`, counted from 0: linear warm-up, then half a cosine down to finalFraction * peak.
 *
 * (Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without the restarts.)
 */
export function learningRateAt(step: number, { peak, warmup, total, finalFraction }: LearningRateRecipe): number {
  if (step < warmup) {
    return (peak * (step + 1)) / warmup;
  }
  const progress = step >= total ? 1 : (step - warmup) / (total - warmup);
  return peak * (finalFraction + ((1 - finalFraction) * (1 + portableCosine(Math.PI * progress))) / 2);
}

/**
 * Warm-up of the moving average: 1 - (1 + n)^-0.75 of it is kept at its n-th update, so that early averages follow the weights.
 *
 * The power is made of square roots, which are exact in the last bit everywhere.
 *
 * @param n updates counted from 1
 */
export function emaWarmup(n: number): number {
  const root = Math.sqrt(1 + n);
  return 1 - 1 / (root * Math.sqrt(root));
}

/** Fraction of the moving average kept by update `step`, counted from 0: 1 - (2 + step)^-0.75, at most maxDecay. */
export function emaDecayAt(step: number, maxDecay: number): number {
  return Math.min(emaWarmup(step + 1), maxDecay);
}
