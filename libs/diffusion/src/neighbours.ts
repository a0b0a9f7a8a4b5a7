/**
 * Nearest neighbours among many points, block by block: the distances of all pairs never lie in memory at once.
 *
 * Points are rows of a flat array [n, d].
 */
import { compile } from '@lockstep/engine';
import type { Engine } from '@lockstep/engine';

import { DiffusionError } from './errors.js';

/** Squared Euclidean distances [m, n] between points a [m, d] and b [n, d]. */
export type SquaredDistances = (a: Float32Array, b: Float32Array) => Float32Array;

/** Rows of a block of queries and of points: 4 MB of distances, and 10 MB of points of 784 numbers. */
const QUERY_BLOCK = 256;
const POINT_BLOCK = 4096;

export type Neighbours = {
  /** [queries] index of the nearest point. */
  readonly nearest: Uint32Array;
  /** [queries, k] squared distances, rising; Infinity where there are fewer than k points. */
  readonly squared: Float64Array;
};

/**
 * The k nearest points of each query.
 *
 * @throws E_METRIC if rows are not whole, or k is not a positive integer
 */
export function nearestNeighbours(
  queries: Float32Array,
  points: Float32Array,
  d: number,
  k: number,
  distances: SquaredDistances,
): Neighbours {
  const [m, n] = [queries.length / d, points.length / d];
  if (![m, n, k].every((value) => Number.isInteger(value) && value > 0)) {
    throw new DiffusionError(
      'E_METRIC',
      `${k} neighbours of ${m} queries among ${n} points: use positive whole numbers`,
    );
  }
  const nearest = new Uint32Array(m);
  const squared = new Float64Array(m * k).fill(Infinity);
  forEachPair(queries, points, d, distances, (query, point, distance) => {
    if (distance >= squared[query * k + k - 1]) return;
    if (distance < squared[query * k]) nearest[query] = point;
    insert(squared, query * k, k, distance);
  });
  return { nearest, squared };
}

/** Visits all pairs of a row of `a` and a row of `b` with their squared distance. */
export function forEachPair(
  a: Float32Array,
  b: Float32Array,
  d: number,
  distances: SquaredDistances,
  visit: (row: number, other: number, squared: number) => void,
): void {
  const [m, n] = [a.length / d, b.length / d];
  for (let q = 0; q < m; q += QUERY_BLOCK) {
    const block = a.subarray(q * d, (q + QUERY_BLOCK) * d);
    for (let p = 0; p < n; p += POINT_BLOCK) {
      const others = b.subarray(p * d, (p + POINT_BLOCK) * d);
      const found = distances(block, others);
      const width = others.length / d;
      for (let i = 0; i < found.length; i++) visit(q + Math.floor(i / width), p + (i % width), found[i]);
    }
  }
}

/** Puts a number into k rising ones from `start`; the largest drops out. */
function insert(rising: Float64Array, start: number, k: number, value: number): void {
  let place = start + k - 1;
  for (; place > start && rising[place - 1] > value; place--) rising[place] = rising[place - 1];
  rising[place] = value;
}

/**
 * Distances by the engine, as |a|^2 + |b|^2 - 2 a b: one matrix product. In float32, so a distance far below the points' own
 * lengths is rounding: of pairs that matter, compute it again.
 */
export function engineDistances(engine: Engine, d: number): SquaredDistances & { readonly dispose: () => void } {
  const { tf } = engine;
  const specs = [QUERY_BLOCK, POINT_BLOCK].map((rows) => ({ shape: [rows, d], dtype: 'float32' as const }));
  // Without an identity: last blocks have any size, and graphs of them are not worth a place on disk.
  const compiled = compile(
    engine,
    ([a, b]) => {
      const lengths = tf.add(tf.sum(tf.square(a), 1, true), tf.sum(tf.square(b), 1));
      return [tf.relu(tf.sub(lengths, tf.mul(tf.matMul(a, b, false, true), 2)))];
    },
    specs,
  );
  const rows = (data: Float32Array): { shape: number[]; data: Float32Array } => ({ shape: [data.length / d, d], data });
  const distances = (a: Float32Array, b: Float32Array): Float32Array => {
    const [found] = compiled.run([rows(a), rows(b)]);
    if (found instanceof Float32Array) return found;
    throw new TypeError('float32 by construction');
  };
  return Object.assign(distances, { dispose: () => compiled.dispose() });
}
