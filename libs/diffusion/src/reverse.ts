/**
 * Single steps of the reverse process, from x_t to x_s, for 0 <= s < t.
 *
 * A sampler that visits only some of 1..T goes from each visited t to the PREVIOUS VISITED s, so both appear everywhere: with
 * s = t - 1 these are the papers' formulas, and otherwise alphaBar_t / alphaBar_s takes alpha_t's place.
 * A step is affine, x_s = fromX x_t + fromEps eps + sigma z, and its three coefficients are all there is to compute.
 */
import type { Schedule } from './schedule.js';

export type ReverseStep = { readonly fromX: number; readonly fromEps: number; readonly sigma: number };

/** Which variance the DDPM step adds: beta, or that of q(x_s | x_t, x_0). Ho et al. 2020, section 3.2, name both. */
export type DdpmVariance = 'beta' | 'posterior';

/**
 * Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020, algorithm 2.
 *
 * The last step, s = 0, adds no noise.
 */
export function ddpmStep(schedule: Schedule, t: number, s: number, variance: DdpmVariance): ReverseStep {
  const alphaBar = schedule.alphaBar[t];
  const previous = schedule.alphaBar[s];
  const alpha = s === t - 1 ? 1 - schedule.beta[t] : alphaBar / previous;
  const beta = s === t - 1 ? schedule.beta[t] : 1 - alpha;
  const fromX = 1 / Math.sqrt(alpha);
  const posterior = (beta * (1 - previous)) / (1 - alphaBar);
  const added = variance === 'beta' ? beta : posterior;
  return { fromX, fromEps: (-fromX * beta) / Math.sqrt(1 - alphaBar), sigma: s === 0 ? 0 : Math.sqrt(added) };
}

/**
 * Song, Meng and Ermon, "Denoising diffusion implicit models", 2021, equations 12 and 16.
 *
 * The last step, s = 0, adds no noise whatever eta is.
 *
 * @param eta 0 is deterministic, 1 has DDPM's posterior variance
 */
export function ddimStep(schedule: Schedule, t: number, s: number, eta: number): ReverseStep {
  const alphaBar = schedule.alphaBar[t];
  const previous = schedule.alphaBar[s];
  const sigma =
    s === 0 ? 0 : eta * Math.sqrt((1 - previous) / (1 - alphaBar)) * Math.sqrt(Math.max(1 - alphaBar / previous, 0));
  const fromX = Math.sqrt(previous / alphaBar);
  const direction = Math.sqrt(Math.max(1 - previous - sigma * sigma, 0));
  return { fromX, fromEps: direction - fromX * Math.sqrt(1 - alphaBar), sigma };
}

/** x_t = signal x_0 + noise eps: the square roots of alphaBar_t and 1 - alphaBar_t. */
export type Level = { readonly signal: number; readonly noise: number };

/** The level of timestep t = 0..T. */
export function levelAt(schedule: Schedule, t: number): Level {
  return { signal: Math.sqrt(schedule.alphaBar[t]), noise: Math.sqrt(1 - schedule.alphaBar[t]) };
}

/**
 * The image that (x_t, eps) stand for: x0 = (x_t - noise eps) / signal, clipped to [-1, 1]; and the eps of the clipped image.
 * Clipping x0 but going on with the old eps is a well-known mistake: the two no longer make x_t.
 *
 * @returns the eps to continue with; the given one where x0 was inside already
 */
export function clippedEps({ signal, noise }: Level, x: number, eps: number): number {
  const x0 = (x - noise * eps) / signal;
  if (x0 >= -1 && x0 <= 1) {
    return eps;
  }
  return (x - signal * (x0 > 1 ? 1 : -1)) / noise;
}

/**
 * `count` of the timesteps 1..T, evenly spaced, first T, descending; a sampler's steps go from each to the next and at last to
 * 0.
 *
 * Step i is round(T i / count): T itself, where sampling starts, is always one of them.
 */
export function respacedTimesteps(T: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.round((T * (count - i)) / count));
}
