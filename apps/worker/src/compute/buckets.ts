/**
 * The two buckets of a gradient. The early one is there, and summed over the workers, while the late one is still being computed
 * (libs/diffusion, model.ts: `earlyFrom`).
 */
import type { ParameterSpans } from '@lockstep/exact';
import { earlyFrom, parameterTable, type ModelConfig } from '@lockstep/diffusion';

/** A range of the gradient [P], and of its tensors. */
export interface Bucket {
  /** First element, and the one after the last. */
  readonly from: number;
  readonly to: number;
  /** First tensor. */
  readonly tensor: number;
  /** Its tensors; offsets count from `from`. */
  readonly table: ParameterSpans;
}

/** What of a gradient is summed together. */
export type Part = 'early' | 'late' | 'whole';

export interface Buckets {
  readonly early: Bucket;
  readonly late: Bucket;
}

/** The buckets of a network's gradient. @throws DiffusionError E_MODEL_CONFIG */
export function bucketsOf(model: ModelConfig): Buckets {
  return cut(parameterTable(model), earlyFrom(model));
}

/** The late bucket has the table's tensors before number `early`, the early bucket the others. */
export function cut(table: ParameterSpans, early: number): Buckets {
  return { early: bucketOf(table, early, table.length), late: bucketOf(table, 0, early) };
}

function bucketOf(table: ParameterSpans, tensor: number, end: number): Bucket {
  const spans = table.slice(tensor, end);
  const from = spans[0]?.offset ?? 0;
  const size = spans.reduce((sum, span) => sum + span.size, 0);
  const shifted = spans.map(({ name, offset, size: length }) => ({ name, offset: offset - from, size: length }));
  return { from, to: from + size, tensor, table: shifted };
}

/** The buckets of a part, in the order of the table. */
export function bucketsIn({ early, late }: Buckets, part: Part): Bucket[] {
  return part === 'whole' ? [late, early] : [part === 'early' ? early : late];
}
