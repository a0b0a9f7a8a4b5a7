/**
 * The step's sum of gradients in integers, whole: what it is by definition. Replay forms it so; a worker forms it a bucket at a time, in
 * its passes (passes.ts), which give the same bits. libs/exact (fixedpoint.ts) has the proof that it has no order.
 */
import {
  ZERO_TENSOR,
  addFixedPoint,
  maxExponents,
  tensorExponents,
  type ParameterSpans,
  type SumForm,
} from '@lockstep/exact';
import type { RunSettings } from '@lockstep/comm';
import type { Task } from '@lockstep/task';

/** One microbatch's gradient. */
export interface Summand {
  /** [P] */
  readonly values: Float32Array;
  /** [tensors], its own (libs/exact, `tensorExponents`). */
  readonly exponents: Int16Array;
}

/** What fixes the unit of the run's sums, beside the exponents. */
export function sumFormOf(
  { wire }: Pick<RunSettings, 'wire'>,
  { globalBatch, microbatchSize }: Pick<Task, 'globalBatch' | 'microbatchSize'>,
): SumForm {
  return { wire, microbatches: globalBatch / microbatchSize };
}

/** A gradient, [P], with its exponents. @throws FixedPointError E_FIXEDPOINT_ARGUMENT, E_FIXEDPOINT_SHAPE */
export function summandOf(values: Float32Array, table: ParameterSpans, form: SumForm): Summand {
  return { values, exponents: tensorExponents(values, table, form) };
}

/** [tensors], the largest over all microbatches of a step, which who has them all need not be told. */
export function agreedExponents(summands: readonly Summand[], table: ParameterSpans): Int16Array {
  return summands
    .map((summand) => summand.exponents)
    .reduce(maxExponents, new Int16Array(table.length).fill(ZERO_TENSOR));
}

/**
 * sum = the given gradients, each rounded to integers with the exponents agreed for the step. No gradient: zeros.
 *
 * @param sum [P], overwritten
 * @param gradients this worker's share of the step
 * @param exponents [tensors], the largest over all microbatches of the step
 * @throws FixedPointError E_FIXEDPOINT_*; the sum is then of no use
 */
export function sumGradients(
  sum: Int32Array,
  gradients: Iterable<Summand>,
  table: ParameterSpans,
  exponents: Int16Array,
  form: SumForm,
): void {
  let empty = true;
  for (const { values, exponents: own } of gradients) {
    addFixedPoint(sum, values, table, exponents, form, empty ? 'overwrite' : 'add', own);
    empty = false;
  }
  if (empty) sum.fill(0);
}
