/**
 * Precision and recall of generated images: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative
 * models", 2019. A set's manifold is the union of balls around its points, each as wide as the way to its k-th neighbour in
 * the set.
 *
 *   precision  share of generated points inside the real manifold: how many look real
 *   recall     share of real points inside the generated manifold: how much of the data's variety is drawn
 */
import { DiffusionError } from './errors.js';
import { forEachPair, nearestNeighbours } from './neighbours.js';
import type { Points, SquaredDistances } from './neighbours.js';

/** The paper's k. */
export const MANIFOLD_NEIGHBOURS = 3;

export type PrecisionRecall = { readonly precision: number; readonly recall: number };

/**
 * Both figures, from 0 to 1. The sets should be equally large.
 *
 * @throws E_METRIC if a set has no more than k points
 */
export function precisionRecall(
  real: Points,
  generated: Points,
  distances: SquaredDistances,
  k: number = MANIFOLD_NEIGHBOURS,
): PrecisionRecall {
  for (const { count } of [real, generated]) {
    if (count <= k) throw new DiffusionError('E_METRIC', `${count} points with ${k} neighbours each: use more images`);
  }
  return { precision: shareInside(generated, real, distances, k), recall: shareInside(real, generated, distances, k) };
}

/** Share of `points` that lie in a ball of the manifold of `around`. */
function shareInside(points: Points, around: Points, distances: SquaredDistances, k: number): number {
  // A point is its own nearest neighbour.
  const { squared } = nearestNeighbours(around, around, k + 1, distances);
  const inside = new Uint8Array(points.count);
  forEachPair(points, around, distances, (point, centre, distance) => {
    if (distance <= squared[centre * (k + 1) + k]) inside[point] = 1;
  });
  return inside.reduce((sum, one) => sum + one, 0) / inside.length;
}
