/**
 * Symmetric matrices as flat row-major Float64Arrays [n, n]: eigenvalues by the cyclic Jacobi method (Golub and Van Loan, "Matrix
 * computations", section 8.5), and the square root by them.
 *
 * Written here because nothing that is installed has it: tfjs does not, and a linear-algebra package for this one use would be
 * larger than these lines. n is 84 here, for which it takes a few milliseconds.
 */
import { DiffusionError } from '@lockstep/diffusion';

/** Ten sweeps are usual for n = 100, as convergence is quadratic in the end. */
const MAX_SWEEPS = 60;

/** values[k] belongs to column k of `vectors` [n, n]; in no order. */
export type Eigen = { readonly values: Float64Array; readonly vectors: Float64Array };

/**
 * Eigenvalues and eigenvectors of a symmetric matrix, to about the last bit of the largest eigenvalue.
 *
 * @throws E_METRIC if the matrix is not [n, n], or not of finite numbers
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  if (matrix.length !== n * n || !matrix.every(Number.isFinite)) {
    throw new DiffusionError('E_METRIC', `a matrix of ${matrix.length} numbers: pass ${n}x${n} finite ones`);
  }
  const a = matrix.slice();
  const vectors = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
  const negligible = (Number.EPSILON * a.reduce((most, value) => Math.max(most, Math.abs(value)), 0)) / n;
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let turned = false;
    for (let p = 0; p < n - 1; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p * n + q]) <= negligible) continue;
        turn(a, vectors, n, p, q);
        turned = true;
      }
    }
    if (!turned) break;
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * (n + 1)]), vectors };
}

/** The rotation in the plane (p, q) that makes a[p, q] zero: a becomes J^T a J, vectors become vectors J. */
function turn(a: Float64Array, vectors: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q];
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const tangent = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const cosine = 1 / Math.sqrt(tangent * tangent + 1);
  const sine = tangent * cosine;
  a[p * n + p] -= tangent * apq;
  a[q * n + q] += tangent * apq;
  a[p * n + q] = 0;
  a[q * n + p] = 0;
  for (let k = 0; k < n; k++) {
    if (k !== p && k !== q) {
      const [akp, akq] = [a[k * n + p], a[k * n + q]];
      a[k * n + p] = a[p * n + k] = cosine * akp - sine * akq;
      a[k * n + q] = a[q * n + k] = sine * akp + cosine * akq;
    }
    const [vkp, vkq] = [vectors[k * n + p], vectors[k * n + q]];
    vectors[k * n + p] = cosine * vkp - sine * vkq;
    vectors[k * n + q] = sine * vkp + cosine * vkq;
  }
}

/**
 * The symmetric square root of a positive semi-definite matrix; eigenvalues that rounding made negative count as zero.
 *
 * @throws E_METRIC as {@link symmetricEigen}
 */
export function symmetricRoot(matrix: Float64Array, n: number): Float64Array {
  const { values, vectors } = symmetricEigen(matrix, n);
  const scaled = vectors.map((value, i) => value * Math.sqrt(Math.max(values[i % n], 0)));
  return product(scaled, transposed(vectors, n), n);
}

/** left right, of [n, n] each. */
export function product(left: Float64Array, right: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let row = 0; row < n; row++) {
    for (let k = 0; k < n; k++) {
      const factor = left[row * n + k];
      for (let column = 0; column < n; column++) out[row * n + column] += factor * right[k * n + column];
    }
  }
  return out;
}

function transposed(matrix: Float64Array, n: number): Float64Array {
  return matrix.map((_, i) => matrix[(i % n) * n + Math.floor(i / n)]);
}
