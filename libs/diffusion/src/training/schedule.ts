/**
 * Noise schedules and the forward process.
 *
 * T is the number of steps; t = 0..T, where t = 0 is the image (or, in the seed's schedule, almost). beta_t is the variance
 * added by step t, alphaBar_t the fraction of the image's variance left after it:
 *   x_t = sqrt(alphaBar_t) x_0 + sqrt(1 - alphaBar_t) eps,  eps ~ N(0, 1).
 * All in float64, without functions whose last bit depends on the JavaScript engine's version, except the sigmoid's exp.
 */
import { portableCosine } from '@lockstep/task';
import { DiffusionError } from '../errors.js';

export type ScheduleConfig =
  /** The seed tutorial's: beta_t = first + (last - first) t / T for t = 0..T, and alphaBar includes beta_0. */
  | { readonly kind: 'seed'; readonly T: number; readonly firstBeta: number; readonly lastBeta: number }
  /** Ho, Jain and Abbeel, "Denoising diffusion probabilistic models", 2020: T values of beta evenly spaced. */
  | { readonly kind: 'linear'; readonly T: number; readonly firstBeta: number; readonly lastBeta: number }
  /** Nichol and Dhariwal, "Improved denoising diffusion probabilistic models", 2021, with their offset s. */
  | { readonly kind: 'cosine'; readonly T: number; readonly s: number }
  /** Jabri, Fleet and Chen, "Scalable adaptive computation for iterative generation", 2023. */
  | {
      readonly kind: 'sigmoid';
      readonly T: number;
      readonly start: number;
      readonly end: number;
      readonly tau: number;
    };

/** What the network is trained to predict of x_t: eps (Ho et al. 2020), or v = sqrt(alphaBar) eps - sqrt(1 - alphaBar) x0. */
export type Prediction = 'eps' | 'v';

export type Schedule = {
  readonly kind: ScheduleConfig['kind'];
  readonly T: number;
  /** beta_0..beta_T; beta_0 is 0 but in the seed's schedule. */
  readonly beta: Float64Array;
  /** alphaBar_0..alphaBar_T; alphaBar_0 is 1 but in the seed's schedule. */
  readonly alphaBar: Float64Array;
};

/** Nichol and Dhariwal's clip: a larger beta would make the last step singular. */
const MAX_BETA = 0.999;
/** A timestep has to be exact in float32 with room to spare, and a sampler has to end. */
export const MAX_T = 1_000_000;

function fromBeta(kind: ScheduleConfig['kind'], T: number, betaAt: (t: number) => number): Schedule {
  const beta = Float64Array.from({ length: T + 1 }, (_, t) => betaAt(t));
  const alphaBar = new Float64Array(T + 1);
  let product = 1;
  for (let t = 0; t <= T; t++) {
    if (!(beta[t] >= 0 && beta[t] < 1)) {
      throw new DiffusionError(
        'E_SCHEDULE',
        `${kind} schedule: beta_${t} is ${beta[t]}: choose numbers with 0 <= beta < 1`,
      );
    }
    product *= 1 - beta[t];
    alphaBar[t] = product;
  }
  return { kind, T, beta, alphaBar };
}

/** Betas whose product of (1 - beta) follows the curve, up to the clip. */
function fromCurve(kind: ScheduleConfig['kind'], T: number, curve: (u: number) => number): Schedule {
  return fromBeta(kind, T, (t) => (t === 0 ? 0 : Math.min(1 - curve(t / T) / curve((t - 1) / T), MAX_BETA)));
}

/**
 * The schedule that a config describes.
 *
 * @throws E_SCHEDULE if T is not an integer of 1..MAX_T or a beta falls outside 0 <= beta < 1
 */
export function makeSchedule(config: ScheduleConfig): Schedule {
  const { T } = config;
  if (!Number.isInteger(T) || T < 1 || T > MAX_T) {
    throw new DiffusionError('E_SCHEDULE', `T is ${T}: use an integer from 1 to ${MAX_T}`);
  }
  switch (config.kind) {
    case 'seed': {
      const { firstBeta, lastBeta } = config;
      return fromBeta('seed', T, (t) => firstBeta + ((lastBeta - firstBeta) * t) / T);
    }
    case 'linear': {
      const { firstBeta, lastBeta } = config;
      const span = Math.max(T - 1, 1);
      return fromBeta('linear', T, (t) => (t === 0 ? 0 : firstBeta + ((lastBeta - firstBeta) * (t - 1)) / span));
    }
    case 'cosine': {
      const { s } = config;
      const cosine = (u: number): number => portableCosine((((u + s) / (1 + s)) * Math.PI) / 2);
      return fromCurve('cosine', T, (u) => cosine(u) * cosine(u));
    }
    case 'sigmoid': {
      const { start, end, tau } = config;
      const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x / tau));
      const top = sigmoid(end) - sigmoid(start);
      return fromCurve('sigmoid', T, (u) => (sigmoid(end) - sigmoid(start + u * (end - start))) / top);
    }
    default:
      return config satisfies never;
  }
}

/** A schedule of this kind with its paper's numbers (those for T = 1000 in Ho et al. and in the seed). */
export function standardSchedule(kind: ScheduleConfig['kind'], T: number): ScheduleConfig {
  switch (kind) {
    case 'seed':
    case 'linear':
      return { kind, T, firstBeta: 1e-4, lastBeta: 0.02 };
    case 'cosine':
      return { kind, T, s: 0.008 };
    case 'sigmoid':
      return { kind, T, start: -3, end: 3, tau: 1 };
    default:
      return kind satisfies never;
  }
}

/**
 * x_t = sqrt(alphaBar_t) x0 + sqrt(1 - alphaBar_t) eps, for one number.
 *
 * @param t 0..T
 */
export function qSample(schedule: Schedule, x0: number, eps: number, t: number): number {
  const alphaBar = schedule.alphaBar[t];
  return Math.sqrt(alphaBar) * x0 + Math.sqrt(1 - alphaBar) * eps;
}

/**
 * Weight of the squared error at t which makes a weight min(SNR, gamma) on the error of x0, with SNR = alphaBar / (1 - alphaBar).
 * The squared error of eps is SNR times that of x0, that of v is SNR + 1 times: so min(SNR, gamma) over that. (Hang et al.,
 * "Efficient diffusion training via Min-SNR weighting strategy", 2023.)
 *
 * @param gamma the paper's choice is 5
 */
export function minSnrWeight(schedule: Schedule, t: number, gamma: number, prediction: Prediction): number {
  const snr = schedule.alphaBar[t] / (1 - schedule.alphaBar[t]);
  return Math.min(snr, gamma) / (prediction === 'v' ? snr + 1 : snr);
}
