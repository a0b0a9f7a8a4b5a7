/** Whether all classes are drawn equally often. */
import { DiffusionError } from '../errors.js';

export type ClassBalance = {
  /** Images of each class. */
  readonly counts: readonly number[];
  /** Pearson's statistic against equal shares: about classes - 1 for fair draws. */
  readonly chiSquared: number;
  /** Largest |count / fair count - 1|. */
  readonly largestDeviation: number;
};

/**
 * Counts labels 0 .. classes-1 and compares the counts with equal ones. (Pearson, "On the criterion that a given system of
 * deviations ...", Philosophical Magazine 50, 1900.)
 *
 * @throws E_METRIC without any label, or for a label that is no class
 */
export function classBalance(labels: Uint8Array, classes: number): ClassBalance {
  const counts = Array.from({ length: classes }, () => 0);
  for (const label of labels) {
    if (label >= classes) throw new DiffusionError('E_METRIC', `label ${label}: there are ${classes} classes`);
    counts[label]++;
  }
  if (labels.length === 0) throw new DiffusionError('E_METRIC', 'no labels: draw at least one image');
  const fair = labels.length / classes;
  return {
    counts,
    chiSquared: counts.reduce((sum, count) => sum + (count - fair) ** 2 / fair, 0),
    largestDeviation: Math.max(...counts.map((count) => Math.abs(count / fair - 1))),
  };
}
