import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fillNormal, STREAMS } from '@lockstep/diffusion';
import { product, symmetricEigen, symmetricRoot } from '#src/symmetric-matrix.js';

const N = 84;

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) {
    assert.ok(Math.abs(actual[i] - expected[i]) <= tolerance, `${i}: ${actual[i]}, expected ${expected[i]}`);
  }
}

/** G G^T for a random G [n, rank]. */
function semiDefinite(n: number, rank: number): Float64Array {
  const g = new Float32Array(n * rank);
  fillNormal(g, { seed: 1, stream: STREAMS.noise, step: 0, position: rank });
  return Float64Array.from({ length: n * n }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += g[Math.floor(i / n) * rank + k] * g[(i % n) * rank + k];
    return sum;
  });
}

test('the eigenvalues of the second-difference matrix are 2 - 2 cos(k pi / (n + 1))', () => {
  const matrix = Float64Array.from({ length: N * N }, (_, i) => {
    const apart = Math.abs(Math.floor(i / N) - (i % N));
    return apart === 0 ? 2 : apart === 1 ? -1 : 0;
  });
  const expected = Array.from({ length: N }, (_, k) => 2 - 2 * Math.cos(((k + 1) * Math.PI) / (N + 1)));
  close(symmetricEigen(matrix, N).values.sort(), Float64Array.from(expected).sort(), 1e-12);
});

test('eigenvectors are orthonormal, and with the eigenvalues they make the matrix again', () => {
  const matrix = semiDefinite(N, N);
  const { values, vectors } = symmetricEigen(matrix, N);
  const across = vectors.map((_, i) => vectors[(i % N) * N + Math.floor(i / N)]);
  const identity = matrix.map((_, i) => (i % (N + 1) === 0 ? 1 : 0));
  close(product(across, vectors, N), identity, 1e-12);
  const scaled = vectors.map((value, i) => value * values[i % N]);
  close(product(scaled, across, N), matrix, 1e-10);
});

for (const rank of [N, 10, 0]) {
  test(`the square root of a matrix of rank ${rank} is symmetric, and its square is the matrix`, () => {
    const matrix = semiDefinite(N, rank);
    const root = symmetricRoot(matrix, N);
    close(product(root, root, N), matrix, 1e-10);
    close(
      root.map((_, i) => root[(i % N) * N + Math.floor(i / N)]),
      root,
      1e-10,
    );
  });
}

test('a matrix of another size, or with a number that is not finite, is refused', () => {
  assert.throws(() => symmetricEigen(new Float64Array(3), 2), { code: 'E_METRIC' });
  assert.throws(() => symmetricEigen(Float64Array.of(1, NaN, NaN, 1), 2), { code: 'E_METRIC' });
});
