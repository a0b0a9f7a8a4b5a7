/**
 * A cosine out of + - * / alone, which IEEE 754 fixes to the last bit. JavaScript engines may return a different last bit
 * of Math.cos in another version; a schedule or learning rate made of it would then differ between two workers.
 */

/** Taylor coefficients 1/(2k)! and 1/(2k+1)! up to where the next term is below 1e-20 for |x| <= pi/4. */
const TERMS = 9;

function evenSeries(x: number): number {
  const y = x * x;
  let sum = 1;
  for (let k = TERMS; k >= 1; k--) {
    sum = 1 - (sum * y) / ((2 * k - 1) * (2 * k));
  }
  return sum;
}

function oddSeries(x: number): number {
  const y = x * x;
  let sum = 1;
  for (let k = TERMS; k >= 1; k--) {
    sum = 1 - (sum * y) / (2 * k * (2 * k + 1));
  }
  return x * sum;
}

/**
 * cos x for 0 <= x <= pi, within 2e-16.
 *
 * @param x radians
 */
export function portableCosine(x: number): number {
  if (x <= Math.PI / 4) {
    return evenSeries(x);
  }
  if (x <= (3 * Math.PI) / 4) {
    return oddSeries(Math.PI / 2 - x);
  }
  return -evenSeries(Math.PI - x);
}
