/**
 * The worker's part of a step's sum, and the checks of memory that go with it, on the I/O thread: a sum takes less than a
 * millisecond of the default network's step, and what a larger one takes is cut into pieces, between which the sockets go on.
 * The compute thread may be in the middle of a gradient, which cannot be stopped.
 */
import type { Arena } from './arena.js';
import type { Bucket } from './buckets.js';
import { changedInMemory } from './changed-memory.js';
import type { Summand } from './exact-sum.js';
import type { BucketMarks, StateMarks, SumPasses } from './passes.js';

/** A gradient at rest: where it lies, and what its buckets were when they were made. */
export interface StoredGradient {
  readonly microbatch: number;
  /** float32 [P] */
  readonly buffer: SharedArrayBuffer;
  readonly early: BucketMarks;
  /** Null while it is being computed. */
  readonly late: BucketMarks | null;
}

/** A bucket of a gradient, for its sum. */
export interface StoredBucket {
  readonly microbatch: number;
  readonly buffer: SharedArrayBuffer;
  readonly marks: BucketMarks;
}

/** The state in memory: its step, and the checksum that its weights must have. */
export interface AtRest {
  readonly step: number;
  readonly weights: number;
}

export class LocalSum {
  constructor(
    private readonly arena: Arena,
    private readonly passes: SumPasses,
    /** Between two pieces of a sum. */
    private readonly pause: () => Promise<unknown>,
  ) {}

  /** Digest and checksum of the state in memory. */
  mark(): StateMarks {
    return this.passes.marks(this.arena);
  }

  /** Says what is wrong if the weights are not what they were; null if they are. */
  check({ step, weights }: AtRest): string | null {
    const now = this.passes.checksum(this.arena.state.weights);
    return now === weights ? null : changedInMemory(`the weights of state ${step}`, weights, now);
  }

  /**
   * Sums a bucket of the gradients into the arena. Resolves with what is wrong if weights or gradients are not what they were, and the
   * sum is of no use; null if they are.
   *
   * @param exponents agreed on, of the bucket's tensors
   * @throws FixedPointError E_FIXEDPOINT_*
   */
  async fold(
    state: AtRest,
    bucket: Bucket,
    gradients: readonly StoredBucket[],
    exponents: readonly number[],
  ): Promise<string | null> {
    const changed = this.check(state);
    if (changed !== null) return changed;
    const summands = gradients.map(({ buffer, marks }): Summand => ({
      values: new Float32Array(buffer),
      exponents: marks.exponents,
    }));
    const pieces = this.passes.fold(bucket, this.arena.sum, summands, Int16Array.from(exponents));
    let next = pieces.next();
    for (; next.done !== true; next = pieces.next()) await this.pause();
    for (const [place, { microbatch, marks }] of gradients.entries()) {
      const found = next.value[place];
      const { checksum } = marks;
      if (found !== checksum)
        return changedInMemory(
          `the gradient of microbatch ${microbatch} of step ${state.step}`,
          checksum,
          found ?? NaN,
        );
    }
    return null;
  }
}
