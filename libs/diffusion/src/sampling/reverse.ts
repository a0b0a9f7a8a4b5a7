/**
 * Single steps of the reverse process, from x_t to x_s, for 0 <= s < t.
 *
 * A sampler that visits only some of 1..T goes from each visited t to the NEXT VISITED s, so both appear everywhere: with
 * s = t - 1 these are the papers' formulas, and otherwise alphaBar_t / alphaBar_s takes alpha_t's place.
 *
 * Nomenclature: eps is the predicted noise, x0 the image that x_t and eps stand for (x_t = sqrt(alphaBar_t) x0 +
 * sqrt(1 - alphaBar_t) eps), both after clipping; z is fresh noise. The step of a sampler with one evaluation of the network a step is a sum of them, and its
 * coefficients are all there is to compute.
 */
import type { Schedule } from '../training/schedule.js';

/** x_s = fromX x_t + fromEps eps + fromX0 x0 + fromLastX0 (the x0 of the step before) + sigma z. */
export type ReverseStep = {
  readonly fromX: number;
  readonly fromEps: number;
  readonly fromX0: number;
  readonly fromLastX0: number;
  readonly sigma: number;
};

const NOTHING: ReverseStep = { fromX: 0, fromEps: 0, fromX0: 0, fromLastX0: 0, sigma: 0 };

/** Which variance the DDPM step adds: beta, or that of q(x_s | x_t, x_0). Ho et al. 2020, section 3.2, name both. */
export type DdpmVariance = 'beta' | 'posterior';

/**
 * Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020, algorithm 2:
 * x_s = (x_t - beta / sqrt(1 - alphaBar_t) eps) / sqrt(alpha) + sigma z, with z = 0 in the last step.
 */
export function ddpmStep(schedule: Schedule, t: number, s: number, variance: DdpmVariance): ReverseStep {
  const alphaBar = schedule.alphaBar[t];
  const previous = schedule.alphaBar[s];
  const alpha = s === t - 1 ? 1 - schedule.beta[t] : alphaBar / previous;
  const beta = s === t - 1 ? schedule.beta[t] : 1 - alpha;
  const fromX = 1 / Math.sqrt(alpha);
  const posterior = (beta * (1 - previous)) / (1 - alphaBar);
  const sigma = s === 0 ? 0 : Math.sqrt(variance === 'beta' ? beta : posterior);
  return { ...NOTHING, fromX, fromEps: (-fromX * beta) / Math.sqrt(1 - alphaBar), sigma };
}

/**
 * Song, Meng and Ermon, "Denoising diffusion implicit models", 2021, equations 12 and 16:
 * x_s = sqrt(alphaBar_s) x0 + sqrt(1 - alphaBar_s - sigma^2) eps + sigma z, with sigma = 0 in the last step whatever eta is.
 *
 * @param eta 0 is deterministic, 1 has DDPM's posterior variance
 */
export function ddimStep(schedule: Schedule, t: number, s: number, eta: number): ReverseStep {
  const alphaBar = schedule.alphaBar[t];
  const previous = schedule.alphaBar[s];
  const posterior = ((1 - previous) / (1 - alphaBar)) * Math.max(1 - alphaBar / previous, 0);
  const sigma = s === 0 ? 0 : eta * Math.sqrt(posterior);
  const fromEps = Math.sqrt(Math.max(1 - previous - sigma * sigma, 0));
  return { ...NOTHING, fromX0: Math.sqrt(previous), fromEps, sigma };
}

/**
 * Lu, Zhou, Bao, Chen, Li and Zhu, "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models", 2022,
 * algorithm 2 (2M): with alpha, sigma the signal and noise of a level, lambda = log(alpha / sigma), h = lambda_s - lambda_t,
 * r = (lambda_t - lambda_last) / h,
 *   x_s = sigma_s / sigma_t x_t - alpha_s (e^-h - 1) D,  D = (1 + 1 / 2r) x0 - 1 / 2r (x0 of the step before).
 *
 * The first step is of first order (D = x0), as there is none before it. So is the last: it goes to lambda = infinity, where r is
 * 0. Lu et al. do the same for stability below 15 steps, and their samplers end just above t = 0 to avoid it otherwise.
 *
 * @param last the timestep of the step before; null in the first
 */
export function dpmpp2mStep(schedule: Schedule, t: number, s: number, last: number | null): ReverseStep {
  const { signal, noise } = levelAt(schedule, s);
  const h = logSnrAt(schedule, s) - logSnrAt(schedule, t);
  const fromX = noise / levelAt(schedule, t).noise;
  const fromD = -signal * Math.expm1(-h);
  if (last === null || s === 0) return { ...NOTHING, fromX, fromX0: fromD };
  const r = (logSnrAt(schedule, t) - logSnrAt(schedule, last)) / h;
  return { ...NOTHING, fromX, fromX0: fromD * (1 + 1 / (2 * r)), fromLastX0: -fromD / (2 * r) };
}

/** lambda of Lu et al.: half the logarithm of the signal-to-noise ratio. Infinity where there is no noise. */
function logSnrAt(schedule: Schedule, t: number): number {
  const { signal, noise } = levelAt(schedule, t);
  return Math.log(signal / noise);
}

/** x_t = signal x_0 + noise eps: the square roots of alphaBar_t and 1 - alphaBar_t. */
export type Level = { readonly signal: number; readonly noise: number };

/** The level of timestep t = 0..T. */
export function levelAt(schedule: Schedule, t: number): Level {
  return { signal: Math.sqrt(schedule.alphaBar[t]), noise: Math.sqrt(1 - schedule.alphaBar[t]) };
}

/** x0 = (x_t - noise eps) / signal. */
export function imageOf({ signal, noise }: Level, x: number, eps: number): number {
  return (x - noise * eps) / signal;
}

/**
 * The eps of the clipped image: x0 clipped to [-1, 1], and eps such that the two make x_t. Clipping x0 but going on with the old
 * eps is a well-known mistake.
 *
 * @returns the eps to continue with; the given one where x0 was inside already
 */
export function clippedEps(level: Level, x: number, eps: number): number {
  const x0 = imageOf(level, x, eps);
  if (x0 >= -1 && x0 <= 1) {
    return eps;
  }
  return (x - level.signal * (x0 > 1 ? 1 : -1)) / level.noise;
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
