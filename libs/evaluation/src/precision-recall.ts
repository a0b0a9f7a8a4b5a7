/**
 * Precision and recall of generated images: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative
 * models", 2019. A set's manifold is the union of balls around its points, each as wide as the way to its k-th neighbour in
 * the set.
 *
 *   precision  share of generated points inside the real manifold: how many look real
 *   recall     share of real points inside the generated manifold: how much of the data's variety is drawn
 *
 * Both have a weakness: an outlier has a wide ball. A classifier that knows digits only may put noise into one, and then noise has
 * full precision. What is not misled by that:
 *
 *   coverage   share of the balls around real points in which a generated point lies (Naeem et al., "Reliable fidelity and
 *              diversity metrics for generative models", 2020)
 */
import { DiffusionError } from '@lockstep/diffusion';
import { forEachPair, nearestNeighbours } from './neighbours.js';
import type { Points, SquaredDistances } from './neighbours.js';

/** The papers' k: for precision and recall, and for coverage. */
export const MANIFOLD_NEIGHBOURS = 3;
export const COVERAGE_NEIGHBOURS = 5;

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
  checkCounts([real, generated], k);
  return { precision: shareInside(generated, real, distances, k), recall: shareInside(real, generated, distances, k) };
}

/** Share of `points` that lie in a ball of the manifold of `around`. */
function shareInside(points: Points, around: Points, distances: SquaredDistances, k: number): number {
  const radius = squaredRadii(around, distances, k);
  const inside = new Uint8Array(points.count);
  forEachPair(points, around, distances, (point, centre, distance) => {
    if (distance <= radius[centre]) inside[point] = 1;
  });
  return inside.reduce((sum, one) => sum + one, 0) / inside.length;
}

/**
 * Coverage, from 0 to 1. The sets should be equally large.
 *
 * @throws E_METRIC if a set has no more than k points
 */
export function coverageOf(
  real: Points,
  generated: Points,
  distances: SquaredDistances,
  k: number = COVERAGE_NEIGHBOURS,
): number {
  checkCounts([real, generated], k);
  const radius = squaredRadii(real, distances, k);
  const covered = new Uint8Array(real.count);
  forEachPair(real, generated, distances, (centre, _, distance) => {
    if (distance <= radius[centre]) covered[centre] = 1;
  });
  return covered.reduce((sum, one) => sum + one, 0) / real.count;
}

/** Of the ball around each point: the squared distance to its k-th neighbour, itself not counted. */
function squaredRadii(points: Points, distances: SquaredDistances, k: number): Float64Array {
  // A point is its own nearest neighbour.
  const { squared } = nearestNeighbours(points, points, k + 1, distances);
  return Float64Array.from({ length: points.count }, (_, i) => squared[i * (k + 1) + k]);
}

function checkCounts(sets: readonly Points[], k: number): void {
  for (const { count } of sets) {
    if (count <= k) throw new DiffusionError('E_METRIC', `${count} points with ${k} neighbours each: use more images`);
  }
}
