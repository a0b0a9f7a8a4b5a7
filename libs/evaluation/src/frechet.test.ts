import assert from 'node:assert/strict';
import { test } from 'node:test';

import { frechetDistance, gaussianOf } from '#src/frechet.js';
import type { Gaussian } from '#src/frechet.js';
import { STREAMS, fillNormal } from '@lockstep/diffusion';
import { FRECHET_2D } from '@lockstep/diffusion/goldens.fixture';

const D = 84;

function gaussian(mean: readonly number[], covariance: readonly (readonly number[])[]): Gaussian {
  return { mean: Float64Array.from(mean), covariance: Float64Array.from(covariance.flat()) };
}

/** Rows of independent numbers: feature j is normal with mean `mean(j)` and standard deviation `deviation(j)`. */
function rows(
  n: number,
  position: number,
  mean: (j: number) => number,
  deviation: (j: number) => number,
): Float32Array {
  const features = new Float32Array(n * D);
  fillNormal(features, { seed: 2, stream: STREAMS.noise, step: 0, position });
  return features.map((z, i) => mean(i % D) + deviation(i % D) * z);
}

const standard = (n: number, position: number): Gaussian =>
  gaussianOf(
    rows(
      n,
      position,
      () => 0,
      () => 1,
    ),
    D,
  );

test('the distance of two correlated normal distributions in the plane is the golden value', () => {
  const { mu1, mu2, cov1, cov2, distance } = FRECHET_2D;
  const [one, other] = [gaussian(mu1, cov1), gaussian(mu2, cov2)];
  assert.ok(Math.abs(frechetDistance(one, other) - distance) < 1e-9);
  assert.ok(Math.abs(frechetDistance(other, one) - distance) < 1e-9);
});

test('for independent features it is the squared distance of means and of standard deviations', () => {
  const diagonal = (mean: number, deviation: (j: number) => number): Gaussian => ({
    mean: new Float64Array(D).fill(mean),
    covariance: Float64Array.from({ length: D * D }, (_, i) => (i % (D + 1) === 0 ? deviation(i % D) ** 2 : 0)),
  });
  const [one, other] = [diagonal(1, (j) => j), diagonal(-2, (j) => 2 * (D - j))];
  const expected = Array.from({ length: D }, (_, j) => 9 + (j - 2 * (D - j)) ** 2).reduce((sum, term) => sum + term, 0);
  assert.ok(Math.abs(frechetDistance(one, other) / expected - 1) < 1e-12);
});

test('a distribution is at distance zero from itself, also where some features never vary', () => {
  const features = rows(
    300,
    0,
    () => 3,
    (j) => (j % 3 === 0 ? 0 : j),
  );
  const itself = gaussianOf(features, D);
  const scale = itself.covariance.reduce((most, value) => Math.max(most, value), 0);
  assert.ok(Math.abs(frechetDistance(itself, itself)) < 1e-6 * scale);
});

test('mean and covariance are those of the rows, unbiased', () => {
  const { mean, covariance } = gaussianOf(Float32Array.of(1, 10, 3, 30, 5, 80), 2);
  assert.deepEqual([...mean], [3, 40]);
  assert.deepEqual([...covariance], [4, 70, 70, 1300]);
});

test('images of one distribution seem farther apart, the fewer they are', () => {
  const large = standard(20_000, 1);
  const distances = [200, 1000, 5000].map((n) => frechetDistance(standard(n, 2), large));
  assert.ok(distances[0] > 3 * distances[1] && distances[1] > 3 * distances[2], distances.join());
});

test('too few rows, broken rows, and features of two classifiers are refused', () => {
  assert.throws(() => gaussianOf(new Float32Array(2), 2), { code: 'E_METRIC' });
  assert.throws(() => gaussianOf(new Float32Array(5), 2), { code: 'E_METRIC' });
  assert.throws(() => frechetDistance(gaussian([0], [[1]]), standard(100, 0)), { code: 'E_METRIC' });
});
