/** Nearest neighbours among many points, block by block: the distances of all pairs never lie in memory at once. */
import { type Engine, compile } from '@lockstep/engine';

import { DiffusionError, PIXEL_VALUES, valuesOf } from '@lockstep/diffusion';
import type { Images } from './judge.js';

/** Points of d numbers each, handed out as rows [count, d] where they are needed: all pixels of a data set are a large array. */
export type Points = { readonly count: number; rows(first: number, count: number): Float32Array };

/** Squared Euclidean distances [m, n] between points a [m, d] and b [n, d]. */
export type SquaredDistances = (a: Float32Array, b: Float32Array) => Float32Array;

/** Rows of a block of queries and of points: 8 MB of distances, and 13 MB of points of 784 numbers. */
const QUERY_BLOCK = 512;
const POINT_BLOCK = 4096;

/** The rows of an array [n, d]. @throws E_METRIC if they are not whole */
export function arrayPoints(array: Float32Array, d: number): Points {
  const count = array.length / d;
  if (!Number.isInteger(count)) throw new DiffusionError('E_METRIC', `${count} rows of ${d} numbers: pass whole rows`);
  return { count, rows: (first, rows) => array.subarray(first * d, (first + rows) * d) };
}

/** Images as points of their numbers, -1 to 1. */
export function pixelPoints({ images, count, shape }: Images): Points {
  const d = valuesOf(shape);
  return {
    count,
    rows: (first, some) =>
      Float32Array.from(images.subarray(first * d, (first + some) * d), (byte) => PIXEL_VALUES[byte]),
  };
}

export type Neighbours = {
  /** [queries] index of the nearest point. */
  readonly nearest: Uint32Array;
  /** [queries, k] squared distances, rising; Infinity where there are fewer than k points. */
  readonly squared: Float64Array;
};

/**
 * The k nearest points of each query.
 *
 * @throws E_METRIC if there are no queries, no points or no neighbours asked for
 */
export function nearestNeighbours(queries: Points, points: Points, k: number, distances: SquaredDistances): Neighbours {
  if (queries.count < 1 || points.count < 1 || !(k >= 1)) {
    throw new DiffusionError(
      'E_METRIC',
      `${k} neighbours of ${queries.count} queries among ${points.count} points: pass some of each`,
    );
  }
  const nearest = new Uint32Array(queries.count);
  const squared = new Float64Array(queries.count * k).fill(Infinity);
  forEachPair(queries, points, distances, (query, point, distance) => {
    if (distance >= squared[query * k + k - 1]) return;
    if (distance < squared[query * k]) nearest[query] = point;
    insert(squared, query * k, k, distance);
  });
  return { nearest, squared };
}

/** Visits all pairs of a point of `a` and a point of `b` with their squared distance. */
export function forEachPair(
  a: Points,
  b: Points,
  distances: SquaredDistances,
  visit: (index: number, other: number, squared: number) => void,
): void {
  for (let q = 0; q < a.count; q += QUERY_BLOCK) {
    const block = a.rows(q, Math.min(QUERY_BLOCK, a.count - q));
    for (let p = 0; p < b.count; p += POINT_BLOCK) {
      const width = Math.min(POINT_BLOCK, b.count - p);
      const found = distances(block, b.rows(p, width));
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
