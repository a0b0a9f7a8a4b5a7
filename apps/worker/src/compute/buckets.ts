/**
 * The two buckets of a gradient. The early one is there, and summed over the workers, while the late one is still being computed
 * (libs/task, task.ts: `earlyFrom`). Of a gradient that comes in one piece all is late: its early bucket is empty, and nobody hears of it.
 */
import type { ParameterSpans } from '@lockstep/exact';
import type { Task } from '@lockstep/task';

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

/** The buckets of a task's gradient. */
export function bucketsOf({ table, earlyFrom }: Pick<Task, 'table' | 'earlyFrom'>): Buckets {
  return cut(table, earlyFrom ?? table.length);
}

/** The late bucket has the table's tensors before number `early`, the early bucket the others, if there are any. */
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

/** The buckets of a part that are not empty, in the order of the table. */
export function bucketsIn({ early, late }: Buckets, part: Part): Bucket[] {
  const buckets = part === 'whole' ? [late, early] : [part === 'early' ? early : late];
  return buckets.filter(({ table }) => table.length > 0);
}
