import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { STREAMS, fillNormal } from '@lockstep/diffusion';
import { testEngine } from '@lockstep/diffusion/engine.fixture';
import { arrayPoints, engineDistances, nearestNeighbours, pixelPoints } from '#src/neighbours.js';
import type { Points, SquaredDistances } from '#src/neighbours.js';
import { coverageOf, precisionRecall } from '#src/precision-recall.js';

/** By the definition, in float64. */
function plainDistances(d: number): SquaredDistances {
  return (a, b) =>
    Float32Array.from({ length: (a.length / d) * (b.length / d) }, (_, pair) => {
      const [i, j] = [Math.floor(pair / (b.length / d)), pair % (b.length / d)];
      let sum = 0;
      for (let k = 0; k < d; k++) sum += (a[i * d + k] - b[j * d + k]) ** 2;
      return sum;
    });
}

function randomPoints(n: number, d: number, position: number): Float32Array {
  const points = new Float32Array(n * d);
  fillNormal(points, { seed: 4, stream: STREAMS.noise, step: 0, position });
  return points;
}

const D = 7;
const byEngine = engineDistances(testEngine(), D);
const inPlane = plainDistances(2);
after(() => byEngine.dispose());
const onLine = plainDistances(1);
const line = (...numbers: number[]): Points => arrayPoints(Float32Array.from(numbers), 1);

test('the k nearest points on a line are found, with the squares of their distances', () => {
  const { nearest, squared } = nearestNeighbours(line(0, 10), line(8, 1, -2, 11), 3, onLine);
  assert.deepEqual([...nearest], [1, 3]);
  assert.deepEqual([...squared], [1, 4, 64, 1, 4, 81]);
});

test('where there are fewer than k points the rest is infinitely far', () => {
  const { squared } = nearestNeighbours(line(0), line(2), 2, onLine);
  assert.deepEqual([...squared], [4, Infinity]);
});

test("over several blocks of queries and points, the engine's neighbours are those of a full search", () => {
  const [queries, points] = [randomPoints(600, D, 0), randomPoints(4500, D, 1)];
  const k = 4;
  const found = nearestNeighbours(arrayPoints(queries, D), arrayPoints(points, D), k, byEngine);
  const all = plainDistances(D)(queries, points);
  for (let i = 0; i < 600; i++) {
    const row = all.subarray(i * 4500, (i + 1) * 4500);
    assert.equal(found.nearest[i], row.indexOf(row.reduce((least, value) => Math.min(least, value))));
    const sorted = row.slice().sort().subarray(0, k);
    sorted.forEach((value, place) => assert.ok(Math.abs(found.squared[i * k + place] - value) < 1e-4));
  }
});

test('a point is at distance zero from itself up to rounding, never below', () => {
  const points = arrayPoints(
    randomPoints(50, D, 2).map((value) => 1000 * value),
    D,
  );
  const { nearest, squared } = nearestNeighbours(points, points, 1, byEngine);
  nearest.forEach((point, i) => assert.equal(point, i));
  assert.ok(squared.every((value) => value >= 0 && value < 10));
});

test('images are points of one number a pixel, from -1 to 1', () => {
  const images = { images: Uint8Array.of(0, 255, 51, 0, 0, 0), count: 3, shape: { rows: 1, columns: 2, channels: 1 } };
  const { nearest, squared } = nearestNeighbours(pixelPoints(images), pixelPoints({ ...images, count: 2 }), 1, inPlane);
  assert.deepEqual([...nearest], [0, 1, 1]);
  [0, 0, 0.16].forEach((value, i) => assert.ok(Math.abs(squared[i] - value) < 1e-5));
});

test('rows that are not whole, and no neighbours at all, are refused', () => {
  assert.throws(() => arrayPoints(new Float32Array(3), 2), { code: 'E_METRIC' });
  assert.throws(() => nearestNeighbours(line(1), line(), 1, onLine), { code: 'E_METRIC' });
  assert.throws(() => nearestNeighbours(line(1), line(1), 0, onLine), { code: 'E_METRIC' });
});

test('precision and recall on a line are those counted by hand', () => {
  // With k = 1 the balls of the real points are [-1, 1], [0, 2], [1, 3], [14, 16] and [15, 17].
  const real = line(0, 1, 2, 15, 16);
  // Those of the generated ones: [-0.25, 1.25], [0.5, 2], [29, 31] and [30, 32].
  const generated = line(0.5, 1.25, 30, 31);
  assert.deepEqual(precisionRecall(real, generated, onLine, 1), { precision: 1 / 2, recall: 3 / 5 });
  assert.equal(coverageOf(real, generated, onLine, 1), 3 / 5);
});

test('points inside the wide ball of one outlier have full precision, but no coverage', () => {
  const real = line(0, 1, 2, 3, 4, 5, 6, 7, 8, 1000);
  const noise = line(500, 501, 502, 503, 504, 505, 506, 507, 508, 509);
  assert.equal(precisionRecall(real, noise, onLine, 3).precision, 1);
  assert.equal(coverageOf(real, noise, onLine, 5), 1 / 10);
});

test('a set has precision and recall 1 against itself, and 0 against one far away', () => {
  const here = arrayPoints(randomPoints(200, D, 3), D);
  const there = arrayPoints(
    randomPoints(200, D, 4).map((value) => value + 100),
    D,
  );
  assert.deepEqual(precisionRecall(here, here, byEngine), { precision: 1, recall: 1 });
  assert.deepEqual(precisionRecall(here, there, byEngine), { precision: 0, recall: 0 });
  assert.equal(coverageOf(here, there, byEngine), 0);
});

test('samples of one half of the data have full precision and half the recall', () => {
  const real = randomPoints(600, D, 5).map((value, i) => (i < 300 * D ? value : value + 100));
  const half = arrayPoints(randomPoints(600, D, 6), D);
  const { precision, recall } = precisionRecall(arrayPoints(real, D), half, byEngine);
  assert.ok(precision > 0.8, `${precision}`);
  assert.ok(recall > 0.4 && recall <= 0.5, `${recall}`);
});

test('other points of the same distribution have nearly full coverage', () => {
  const [one, other] = [7, 8].map((position) => arrayPoints(randomPoints(1000, D, position), D));
  const coverage = coverageOf(one, other, byEngine);
  assert.ok(coverage > 0.9 && coverage < 1, `${coverage}`);
});

test('a set with no more points than neighbours is refused', () => {
  assert.throws(() => precisionRecall(line(1, 2, 3), line(1, 2, 3, 4), onLine), { code: 'E_METRIC' });
  assert.throws(() => coverageOf(line(1, 2, 3, 4, 5, 6), line(1), onLine), { code: 'E_METRIC' });
});
