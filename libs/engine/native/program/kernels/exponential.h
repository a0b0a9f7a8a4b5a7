// e^x, and what is made of it, several at a time in float32. Included inside the target's namespace.
#pragma once

/**
 * e^r, |r| <= ln 2 / 2: Taylor's polynomial of degree 7, by Horner's scheme, each step a fused multiply-add. What it leaves out is
 * below 2^-28 of the result.
 */
inline Vec exponentialOfRest(Vec r) {
  Vec p = all(1.0f / 5040);
  p = fma(p, r, all(1.0f / 720));
  p = fma(p, r, all(1.0f / 120));
  p = fma(p, r, all(1.0f / 24));
  p = fma(p, r, all(1.0f / 6));
  p = fma(p, r, all(0.5f));
  p = fma(p, r, all(1.0f));
  return fma(p, r, all(1.0f));
}

/** x - k ln 2, with ln 2 in two parts, of which the first has so few bits that its product with k is exact (Cody and Waite 1980). */
inline Vec restOf(Vec x, Vec k) { return fnma(k, all(-2.12194440e-4f), fnma(k, all(0.693359375f), x)); }

/** e^x for x held to -87 .. 88, within 2 units in the last place; of a NaN a NaN. */
inline Vec exponentialWithin(Vec x) {
  x = smaller(all(88.0f), larger(all(-87.0f), x));
  const Vec k = nearest(x * all(1.44269504f));
  return exponentialOfRest(restOf(x, k)) * powerOfTwo(k);
}

/** e^x for every x: 0 below, infinite above, denormal where e^x is. 2^k is taken in two halves, as 2^-150 and 2^128 are no floats. */
inline Vec exponential(Vec x) {
  x = smaller(all(89.0f), larger(all(-104.0f), x));
  const Vec k = nearest(x * all(1.44269504f));
  const Vec half = nearest(k * all(0.5f));
  return exponentialOfRest(restOf(x, k)) * powerOfTwo(half) * powerOfTwo(k - half);
}

/** 1 / (1 + e^-y) where it is a factor of y: e^-y is held to e^88 and below, so -infinity stays infinite. */
inline Vec sigmoidWithin(Vec y) { return all(1.0f) / (all(1.0f) + exponentialWithin(all(0.0f) - y)); }
