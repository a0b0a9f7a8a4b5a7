/**
 * The step's sum of gradients in integers: the one place where it is formed, by the worker's reducer thread and by replay.
 * libs/comm (fixedpoint.ts) has the proof that it is exact.
 */
import { addFixedPoint, type ParameterSpans } from '@lockstep/comm';

/** One microbatch's gradient. */
export interface Summand {
  /** [P] */
  readonly values: Float32Array;
  /** [tensors], its own (libs/comm, `tensorExponents`). */
  readonly exponents: Int16Array;
}

/**
 * sum = the given gradients, each rounded to integers with the exponents agreed for the step. No gradient: zeros.
 *
 * @param sum [P], overwritten
 * @param gradients this worker's share of the step
 * @param exponents [tensors], the largest over all microbatches of the step
 * @param microbatches number in the whole step
 * @throws FixedPointError E_FIXEDPOINT_*; the sum is then of no use
 */
export function sumGradients(
  sum: Int32Array,
  gradients: Iterable<Summand>,
  table: ParameterSpans,
  exponents: Int16Array,
  microbatches: number,
): void {
  let empty = true;
  for (const { values, exponents: own } of gradients) {
    addFixedPoint(sum, values, table, exponents, microbatches, empty ? 'overwrite' : 'add', own);
    empty = false;
  }
  if (empty) sum.fill(0);
}
