/** Did-you-mean: the nearest known name by Levenshtein distance (insert, delete, replace: 1 each). */

/** A name further away than this share of its length is another name, not a slip. */
const MAX_SHARE = 0.4;

/** Levenshtein distance of two strings, by the two-row dynamic programme of Wagner and Fischer (1974). */
export function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      row.push(Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    above = row;
  }
  return above[b.length];
}

/** The candidate nearest to `name` if it is near enough to be meant, else undefined. The first of equals wins. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.floor(name.length * MAX_SHARE) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}
