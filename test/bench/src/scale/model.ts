/**
 * The time of a training step with n workers, as a formula. Pure.
 *
 *   step(n, m) = fixed + m compute + waits(n) noise + coordination + exposed(n, m)
 *
 * n  workers                          m        microbatches of each
 * c  seconds of a microbatch's gradient ("compute")
 * fixed  what a worker does a step whatever m is: fold, apply, digest, checks
 * noise  standard deviation of a worker's step; all wait for the slowest: waits(n) = E[max of n standard normals]
 * coordination  messages to and from the coordinator with n >= 2, and its own time with many workers: perWorker n
 * exposed  the part of the ring's time that no computation hides: ring - min(hidden ring, m c)
 *
 * ring(n) = 2(n-1) (alpha + S beta / n), the alpha-beta model of a ring all-reduce (Thakur, Rabenseifner and Gropp, 2005; here alpha
 * is a hop's time without payload and beta seconds a byte, the larger of the wire's and the processor's). Two tiers with groups of
 * g: twice the largest group's ring and the leaders' ring once (apps/coordinator, topology.ts).
 */
import { z } from 'zod';
import { TIERS_FROM, groupsOf } from '@lockstep/coordinator';

const ringConstantsSchema = z.object({
  /** Seconds of a hop without payload. */
  alpha: z.number(),
  /** Seconds of a byte. */
  beta: z.number(),
  /** S, of the sum. */
  bytes: z.number(),
});
export type RingConstants = z.infer<typeof ringConstantsSchema>;

/** All in seconds, but for `hidden`: the share of the ring's time that computation hides. */
export const constantsSchema = z.looseObject({
  ...ringConstantsSchema.shape,
  compute: z.number(),
  fixed: z.number(),
  noise: z.number(),
  perWorker: z.number(),
  coordination: z.number(),
  hidden: z.number(),
});
export type Constants = RingConstants & {
  readonly [Key in 'compute' | 'fixed' | 'noise' | 'perWorker' | 'coordination' | 'hidden']: number;
};

/** One ring of n members, s. */
export function ringSeconds(n: number, { alpha, beta, bytes }: RingConstants): number {
  return n < 2 ? 0 : 2 * (n - 1) * (alpha + (bytes * beta) / n);
}

/** The rings that a coordinator sets for n members on hosts of their own, s. */
export function allReduceSeconds(n: number, constants: RingConstants): number {
  if (n < TIERS_FROM) return ringSeconds(n, constants);
  const groups = groupsOf(Array.from({ length: n }, (_, index) => ({ host: String(index) })));
  return tiersSeconds(groups, constants);
}

/** Two tiers of these groups, s. */
export function tiersSeconds(groups: readonly (readonly unknown[])[], constants: RingConstants): number {
  const largest = Math.max(...groups.map((group) => group.length));
  return 2 * ringSeconds(largest, constants) + ringSeconds(groups.length, constants);
}

/** E[max of n standard normals]: exact for small n (Teichroew 1956), Blom's approximation beyond. */
export function waits(n: number): number {
  const known = [0, 0, 0.5642, 0.8463, 1.0294];
  return n < known.length ? known[n] : normalQuantile((n - 0.375) / (n + 0.25));
}

/** Newton's method on the distribution function, by its series; enough for drawing a curve. */
function normalQuantile(p: number): number {
  let x = 0;
  for (let round = 0; round < 50; round++) {
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    let [term, sum] = [x, x];
    for (let k = 1; Math.abs(term) > 1e-12 && k < 500; k++) sum += term *= (x * x) / (2 * k + 1);
    const step = (0.5 + density * sum - p) / density;
    x -= Math.max(-1, Math.min(1, step));
  }
  return x;
}

/** Workers, and microbatches of each. */
export interface Size {
  readonly n: number;
  readonly m: number;
}

/** Seconds of a step, of its ring, and of what of that no computation hides. */
export interface StepTime {
  readonly seconds: number;
  readonly ring: number;
  readonly exposed: number;
}

export function stepOf({ n, m }: Size, constants: Constants): StepTime {
  const { compute, fixed, noise, coordination, perWorker, hidden } = constants;
  const ring = allReduceSeconds(n, constants);
  const exposed = ring - Math.min(hidden * ring, m * compute);
  const alone = fixed + m * compute;
  const together = n < 2 ? 0 : waits(n) * noise + coordination + perWorker * n + exposed;
  return { seconds: alone + together, ring, exposed };
}

/** What the constants follow from. */
export interface Measured {
  /** Seconds of a step of one worker with one microbatch. */
  readonly one: number;
  /** ... with four. */
  readonly four: number;
  /** Seconds of a step of two workers with one microbatch each. */
  readonly two: number;
  /** Standard deviation of one worker's step, s. */
  readonly noise: number;
  /** From two members without training. */
  readonly ring: RingConstants;
  /** Share of the ring's time that computation hides, measured by itself. */
  readonly hidden: number;
  /** The coordinator's time for a worker's messages of a step, s. */
  readonly perWorker: number;
}

/** The constants, from three measured points and the ring's own measurement; the other points are held out. */
export function fit({ one, four, two, noise, ring, hidden, perWorker }: Measured): Constants {
  const compute = (four - one) / 3;
  const known = { ...ring, compute, fixed: one - compute, noise, perWorker, coordination: 0, hidden };
  return { ...known, coordination: Math.max(0, two - stepOf({ n: 2, m: 1 }, known).seconds) };
}
