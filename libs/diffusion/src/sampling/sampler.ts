/**
 * Drawing images: x_T ~ N(0, 1), then one reverse step after another (reverse.ts) with the eps that a network predicts.
 *
 * Noise is keyed by (seed, image index, timestep), so image i has the same start and the same noise whatever batch it is drawn
 * in; whether its pixels have the same bits is then up to the network alone.
 */
import { valuesOf } from '../data/image-shape.js';
import type { ImageShape } from '../data/image-shape.js';
import { DiffusionError } from '../errors.js';
import { fillNormal, STREAMS } from '@lockstep/task';
import { clippedEps, ddimStep, ddpmStep, dpmpp2mStep, imageOf, levelAt, respacedTimesteps } from './reverse.js';
import type { DdpmVariance, ReverseStep } from './reverse.js';
import type { Schedule } from '../training/schedule.js';

export type SamplerConfig =
  /** Ho et al. 2020: every step adds noise but the last. */
  | { readonly kind: 'ddpm'; readonly steps: number; readonly variance: DdpmVariance; readonly clip: boolean }
  /** Song et al. 2021: with eta 0 the images are a function of x_T. */
  | { readonly kind: 'ddim'; readonly steps: number; readonly eta: number; readonly clip: boolean }
  /** DPM-Solver++ (2M) of Lu et al. 2022: a function of x_T too, close to where it ends after far fewer steps. */
  | { readonly kind: 'dpmpp2m'; readonly steps: number; readonly clip: boolean };

export type SamplerKind = SamplerConfig['kind'];

/** The list of all samplers, each as it is where it is named without more: what is in it can be chosen by every command that draws. */
export const SAMPLERS: { readonly [K in SamplerKind]: Extract<SamplerConfig, { readonly kind: K }> } = {
  ddpm: { kind: 'ddpm', steps: 1000, variance: 'beta', clip: true },
  ddim: { kind: 'ddim', steps: 50, eta: 0, clip: true },
  dpmpp2m: { kind: 'dpmpp2m', steps: 20, clip: true },
};

export const SAMPLER_KINDS: readonly SamplerKind[] = Object.values(SAMPLERS).map(({ kind }) => kind);

/**
 * Predicts the noise in `x`, `count` images one after another, all at timestep t = 1..T. The array returned has x's length and
 * may be reused by the next call; x must not be kept or written.
 */
export type EpsFunction = (x: Float32Array, t: number) => Float32Array;

export type SampleRequest = {
  readonly schedule: Schedule;
  readonly sampler: SamplerConfig;
  readonly eps: EpsFunction;
  readonly seed: number;
  /** Index of the first image of this batch. */
  readonly firstImage: number;
  readonly count: number;
  /** Of an image. */
  readonly shape: ImageShape;
};

/** Steps done, of the steps that the batch takes, and what the images are by now; x must not be kept or written. */
export type SampleProgress = { readonly done: number; readonly steps: number; readonly x: Float32Array };

/** Bounds the memory of a batch, together with the network's own. More images are more batches. */
export const MAX_BATCH = 4096;

/**
 * Checks that a sampler can be used on a schedule of T steps.
 *
 * @throws E_SAMPLER naming what is out of range
 */
export function checkSampler(sampler: SamplerConfig, T: number): void {
  if (!Number.isInteger(sampler.steps) || sampler.steps < 1 || sampler.steps > T) {
    throw new DiffusionError(
      'E_SAMPLER',
      `the sampler has ${sampler.steps} steps: use an integer from 1 to ${T}, which the schedule has`,
    );
  }
  if (sampler.kind === 'ddim' && !(sampler.eta >= 0 && sampler.eta <= 1)) {
    throw new DiffusionError('E_SAMPLER', `DDIM's eta is ${sampler.eta}: use a number from 0 to 1`);
  }
}

/** The step from visited[i] to the next, at last to 0. */
function reverseStep(schedule: Schedule, sampler: SamplerConfig, visited: readonly number[], i: number): ReverseStep {
  const t = visited[i];
  const s = visited[i + 1] ?? 0;
  switch (sampler.kind) {
    case 'ddpm':
      return ddpmStep(schedule, t, s, sampler.variance);
    case 'ddim':
      return ddimStep(schedule, t, s, sampler.eta);
    case 'dpmpp2m':
      return dpmpp2mStep(schedule, t, s, visited[i - 1] ?? null);
    default:
      return sampler satisfies never;
  }
}

/**
 * Draws `count` images, step by step: yields after each, so that the caller can do other things in between.
 *
 * @returns [count, rows, columns, channels]; pixels of a trained network lie about [-1, 1]
 * @throws E_SAMPLER for steps, count or eta out of range, or an eps of the wrong length; E_RANDOM_KEY for a bad seed or image
 */
export function* sampleSteps(request: SampleRequest): Generator<SampleProgress, Float32Array, undefined> {
  const { schedule, sampler, eps, seed, firstImage, count, shape } = request;
  checkSampler(sampler, schedule.T);
  const images = imagesOf(count);
  const size = valuesOf(shape);
  const x = new Float32Array(count * size);
  const lastX0 = new Float64Array(x.length);
  const z = new Float32Array(size);
  for (const i of images) {
    const start = x.subarray(i * size, (i + 1) * size);
    fillNormal(start, { seed, stream: STREAMS.samplerStart, step: 0, position: firstImage + i });
  }
  const visited = respacedTimesteps(schedule.T, sampler.steps);
  for (const [done, t] of visited.entries()) {
    const predicted = checkedEps(eps(x, t), x.length);
    const level = levelAt(schedule, t);
    const { fromX, fromEps, fromX0, fromLastX0, sigma } = reverseStep(schedule, sampler, visited, done);
    for (const i of images) {
      if (sigma > 0) fillNormal(z, { seed, stream: STREAMS.samplerNoise, step: t, position: firstImage + i });
      for (let v = 0, at = i * size; v < size; v++, at++) {
        const used = sampler.clip ? clippedEps(level, x[at], predicted[at]) : predicted[at];
        const x0 = imageOf(level, x[at], used);
        x[at] = fromX * x[at] + fromEps * used + fromX0 * x0 + fromLastX0 * lastX0[at] + sigma * z[v];
        lastX0[at] = x0;
      }
    }
    yield { done: done + 1, steps: visited.length, x };
  }
  return x;
}

function imagesOf(count: number): number[] {
  if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH) {
    throw new DiffusionError('E_SAMPLER', `${count} images in a batch: use an integer from 1 to ${MAX_BATCH}`);
  }
  return Array.from({ length: count }, (_, i) => i);
}

function checkedEps(eps: Float32Array, length: number): Float32Array {
  if (eps.length !== length) {
    throw new DiffusionError(
      'E_SAMPLER',
      `eps returned ${eps.length} numbers for ${length}: return one for each pixel`,
    );
  }
  return eps;
}

/** Draws `count` images at once: what {@link sampleSteps} returns, and throws. */
export function sample(request: SampleRequest): Float32Array {
  const steps = sampleSteps(request);
  for (;;) {
    const step = steps.next();
    if (step.done === true) {
      return step.value;
    }
  }
}
