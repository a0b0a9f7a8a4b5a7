/**
 * Frechet distance between two sets of features, each taken for a normal distribution: Heusel et al., "GANs trained by a two
 * time-scale update rule converge to a local Nash equilibrium", 2017, whose features were those of an Inception network.
 *
 *   d^2 = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)
 *
 * The trace of (C1 C2)^(1/2) is that of (R C2 R)^(1/2) with R = C1^(1/2): the same eigenvalues, but a symmetric matrix.
 * The figure is d^2, as everywhere. It falls with the number of images even for images of one distribution (a covariance of few
 * images is off), so it is to be compared at equal numbers only.
 */
import { DiffusionError } from '@lockstep/diffusion';
import { product, symmetricEigen, symmetricRoot } from './symmetric-matrix.js';

/** A normal distribution: mean [d], covariance [d, d]. */
export type Gaussian = { readonly mean: Float64Array; readonly covariance: Float64Array };

/**
 * Mean and unbiased covariance of features [n, d].
 *
 * @throws E_METRIC for fewer than two rows, or rows that are not whole
 */
export function gaussianOf(features: Float32Array, d: number): Gaussian {
  const n = features.length / d;
  if (!Number.isInteger(n) || n < 2) {
    throw new DiffusionError('E_METRIC', `${n} rows of ${d} features: a covariance needs at least two whole ones`);
  }
  const mean = new Float64Array(d);
  for (let i = 0; i < features.length; i++) mean[i % d] += features[i] / n;
  const covariance = new Float64Array(d * d);
  const row = new Float64Array(d);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) row[j] = features[i * d + j] - mean[j];
    for (let j = 0; j < d; j++) {
      const factor = row[j] / (n - 1);
      for (let k = j; k < d; k++) covariance[j * d + k] += factor * row[k];
    }
  }
  for (let j = 0; j < d; j++) for (let k = 0; k < j; k++) covariance[j * d + k] = covariance[k * d + j];
  return { mean, covariance };
}

/**
 * d^2 between two normal distributions of one dimension.
 *
 * @throws E_METRIC if the dimensions differ or a number is not finite
 */
export function frechetDistance(one: Gaussian, other: Gaussian): number {
  const d = one.mean.length;
  if (other.mean.length !== d) {
    throw new DiffusionError('E_METRIC', `${d} and ${other.mean.length} features: compare those of one classifier`);
  }
  const root = symmetricRoot(one.covariance, d);
  const middle = product(product(root, other.covariance, d), root, d);
  const { values } = symmetricEigen(symmetricPart(middle, d), d);
  const rootTrace = values.reduce((sum, value) => sum + Math.sqrt(Math.max(value, 0)), 0);
  const shift = one.mean.reduce((sum, value, i) => sum + (value - other.mean[i]) ** 2, 0);
  return shift + trace(one.covariance, d) + trace(other.covariance, d) - 2 * rootTrace;
}

/** A product of symmetric matrices is symmetric up to rounding only. */
function symmetricPart(matrix: Float64Array, d: number): Float64Array {
  return matrix.map((value, i) => (value + matrix[(i % d) * d + Math.floor(i / d)]) / 2);
}

function trace(matrix: Float64Array, d: number): number {
  let sum = 0;
  for (let i = 0; i < d; i++) sum += matrix[i * (d + 1)];
  return sum;
}
