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
 * g: twice the largest group's ring and the leaders' ring once (apps/coordinator/src/topology.ts).
 */
import { TIERS_FROM, groupsOf } from '../../apps/coordinator/dist/decide/topology.js';

/** One ring of n members, s. */
export function ringSeconds(n, { alpha, beta, bytes }) {
  return n < 2 ? 0 : 2 * (n - 1) * (alpha + (bytes * beta) / n);
}

/** The rings that a coordinator sets for n members on hosts of their own, s. */
export function allReduceSeconds(n, constants) {
  if (n < TIERS_FROM) return ringSeconds(n, constants);
  const groups = groupsOf(Array.from({ length: n }, (_, index) => ({ host: String(index) })));
  return tiersSeconds(groups, constants);
}

/** Two tiers of these groups, s. */
export function tiersSeconds(groups, constants) {
  const largest = Math.max(...groups.map((group) => group.length));
  return 2 * ringSeconds(largest, constants) + ringSeconds(groups.length, constants);
}

/** E[max of n standard normals]: exact for small n (Teichroew 1956), Blom's approximation beyond. */
export function waits(n) {
  const known = [0, 0, 0.5642, 0.8463, 1.0294];
  return known[n] ?? normalQuantile((n - 0.375) / (n + 0.25));
}

/** Newton's method on the distribution function, by its series; enough for drawing a curve. */
function normalQuantile(p) {
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

/** Seconds of a step, and what it is made of. */
export function stepOf({ n, m }, constants) {
  const { compute, fixed, noise, coordination, perWorker, hidden } = constants;
  const ring = allReduceSeconds(n, constants);
  const exposed = ring - Math.min(hidden * ring, m * compute);
  const alone = fixed + m * compute;
  const together = n < 2 ? 0 : waits(n) * noise + coordination + perWorker * n + exposed;
  return { seconds: alone + together, ring, exposed };
}

/**
 * The constants, from three measured points and the ring's own measurement; the other points are held out.
 *
 * @param {object} measured
 * @param {number} measured.one seconds of a step of one worker with one microbatch
 * @param {number} measured.four ... with four
 * @param {number} measured.two seconds of a step of two workers with one microbatch each
 * @param {number} measured.noise standard deviation of one worker's step, s
 * @param {{alpha: number, beta: number, bytes: number}} measured.ring from two members without training
 * @param {number} measured.hidden share of the ring's time that computation hides, measured by itself
 * @param {number} measured.perWorker the coordinator's time for a worker's messages of a step, s
 */
export function fit({ one, four, two, noise, ring, hidden, perWorker }) {
  const compute = (four - one) / 3;
  const known = { ...ring, compute, fixed: one - compute, noise, perWorker, coordination: 0, hidden };
  return { ...known, coordination: Math.max(0, two - stepOf({ n: 2, m: 1 }, known).seconds) };
}
