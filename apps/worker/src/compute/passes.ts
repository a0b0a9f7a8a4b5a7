/**
 * The passes over whole gradients and states that a step makes besides the network: each reads its memory once. In native
 * code where the processor runs it (native-passes.ts), else in JavaScript (portable-passes.ts); the bits are the same.
 */
import { fingerprintChecksum, fingerprintDigest, FINGERPRINT_SUMS } from '@lockstep/exact';
import type { AdamStep } from '@lockstep/task';
import type { Arena } from './arena.js';
import type { Bucket } from './buckets.js';
import type { Summand } from './exact-sum.js';

/** What a bucket of a gradient is: exponents of its tensors, and its checksum. */
export interface BucketMarks {
  readonly exponents: Int16Array;
  readonly checksum: number;
}

/** A state as it is told from others, and what its weights at rest are checked against. */
export interface StateMarks {
  /** libs/run, `stateDigest`. */
  readonly digest: string;
  /** Checksum of the weights' fingerprint. */
  readonly weights: number;
}

export interface Passes {
  /** Checksum of the fingerprint (libs/exact, fingerprint.ts): it changes with any bit of any number. */
  checksum(numbers: Float32Array): number;
  /** What a bucket of a gradient [P] is. */
  describe(bucket: Bucket, gradient: Float32Array): BucketMarks;
  /**
   * Sums a bucket of gradients [P] into that of `sum` [P] as `sumGradients` does, a piece of some milliseconds' work at a time: the
   * caller may do other things in between. Exponents are those of the bucket's tensors. Returns the checksum of each gradient's
   * bucket, as it was read for the sum.
   * @throws FixedPointError E_FIXEDPOINT_*; the sum is then of no use
   */
  fold(
    bucket: Bucket,
    sum: Int32Array,
    gradients: readonly Summand[],
    exponents: Int16Array,
  ): Generator<undefined, number[]>;
  /** Digest and checksum of the state as it lies there. */
  marks(arena: Arena): StateMarks;
  /**
   * Turns the step's total into the mean gradient, and updates the state with it in place, with what `adamOf` says for the mean's
   * norm. Returns the digest of the state that was found, and the marks of the one that is left.
   * @throws FixedPointError E_FIXEDPOINT_*; TaskError E_OPTIMIZER; the state is untouched then
   */
  update(
    arena: Arena,
    exponents: Int16Array,
    adamOf: (norm: number) => AdamStep,
  ): { readonly found: string; readonly left: StateMarks };
}

/** Those that the I/O thread makes. */
export type SumPasses = Pick<Passes, 'checksum' | 'fold' | 'marks'>;

/** The fingerprint at `place` of several that lie one after another. */
export function part(prints: Uint32Array, place: number): Uint32Array {
  return prints.subarray(place * FINGERPRINT_SUMS, (place + 1) * FINGERPRINT_SUMS);
}

/** From the fingerprints of the four arrays, one after another. */
export function marksOf(prints: Uint32Array): StateMarks {
  return { digest: fingerprintDigest(prints), weights: fingerprintChecksum(part(prints, 0)) };
}
