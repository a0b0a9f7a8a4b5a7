/** What is said of a step's training beside its gradients: means over its microbatches. Pure. */
import type { Covered, Figures } from './state.js';

/** In index order, so that the same values give the same bits, whoever computed them; null if one is not known or not finite. */
export function mean(values: readonly (number | null)[]): number | null {
  let sum = 0;
  for (const value of values) {
    if (value === null) return null;
    sum += value;
  }
  return values.length === 0 ? null : sum / values.length;
}

/** The figures of a step by their names; one that is not known of every microbatch is left out. */
export function figuresOf(names: readonly string[], microbatches: readonly Pick<Covered, 'figures'>[]): Figures {
  const means = names.map((name, place): [string, number | null] => [
    name,
    mean(microbatches.map(({ figures }) => figures?.[place] ?? null)),
  ]);
  return Object.fromEntries(means.filter((entry): entry is [string, number] => entry[1] !== null));
}
