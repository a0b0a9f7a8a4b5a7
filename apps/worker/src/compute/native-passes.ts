/** The passes of a step in native code (libs/engine, passes.ts). */
import {
  FINGERPRINT_SUMS,
  type ParameterSpans,
  type SumForm,
  checkBelow,
  exponentsIn,
  fingerprintChecksum,
  fingerprintDigest,
  fixedPointFactors,
  fixedPointScales,
} from '@lockstep/exact';
import type { Arithmetic } from '@lockstep/base';
import { loadPasses, RUNNING_SUMS, type NativePasses } from '@lockstep/engine';
import { adamFactors, type AdamStep } from '@lockstep/task';
import type { Arena } from './arena.js';
import type { Bucket } from './buckets.js';
import type { Summand } from './exact-sum.js';
import { marksOf, part, type BucketMarks, type Passes, type StateMarks } from './passes.js';
import { PortablePasses } from './portable-passes.js';

/** The quickest passes that there are here. @throws EngineError E_ENGINE_MISSING, E_ENGINE_LOAD; FixedPointError E_FIXEDPOINT_ARGUMENT */
export function passesFor(
  table: ParameterSpans,
  form: SumForm,
  arithmetic: Arithmetic,
  engineDirectory: string,
): Passes {
  const native = loadPasses(engineDirectory);
  return native === null
    ? new PortablePasses(table, form, arithmetic)
    : new FastPasses(native, table, form, arithmetic);
}

/** Where each tensor ends. */
function endsOf(table: ParameterSpans): Int32Array {
  return Int32Array.from(table, ({ offset, size }) => offset + size);
}

/** Numbers that are read and written in one piece of a sum: 4 to 5 ms. */
const PIECE = 1 << 24;

/** The native passes, with their working memory. */
export class FastPasses implements Passes {
  private readonly ends: Int32Array;
  private readonly exponentOf: (magnitude: number) => number;
  private readonly endsIn = new WeakMap<Bucket, Int32Array>();
  private readonly print = new Uint32Array(FINGERPRINT_SUMS);
  private readonly found = new Uint32Array(4 * FINGERPRINT_SUMS);
  private readonly left = new Uint32Array(4 * FINGERPRINT_SUMS);

  constructor(
    private readonly native: NativePasses,
    private readonly table: ParameterSpans,
    private readonly form: SumForm,
    private readonly arithmetic: Arithmetic,
  ) {
    this.ends = endsOf(table);
    this.exponentOf = exponentsIn(form);
  }

  checksum(numbers: Float32Array): number {
    this.native.fingerprint(numbers, this.arithmetic, this.print);
    return fingerprintChecksum(this.print);
  }

  describe(bucket: Bucket, gradient: Float32Array): BucketMarks {
    const largest = new Uint32Array(bucket.table.length);
    const values = gradient.subarray(bucket.from, bucket.to);
    this.native.describe(values, this.endsOf(bucket), this.arithmetic, largest, this.print);
    return { exponents: Int16Array.from(largest, this.exponentOf), checksum: fingerprintChecksum(this.print) };
  }

  *fold(
    bucket: Bucket,
    sum: Int32Array,
    gradients: readonly Summand[],
    exponents: Int16Array,
  ): Generator<undefined, number[]> {
    const { from: first, to: end, table } = bucket;
    const scales = fixedPointScales(table, exponents, this.form);
    for (const { exponents: own } of gradients) checkBelow(own, table, exponents);
    const running = new Uint32Array(gradients.length * RUNNING_SUMS);
    const into = sum.subarray(first, end);
    const arrays = gradients.map(({ values }) => values.subarray(first, end));
    const ends = this.endsOf(bucket);
    // Of one gradient more than there are: the sum is written, too.
    const piece = Math.ceil(PIECE / (gradients.length + 1) / FINGERPRINT_SUMS) * FINGERPRINT_SUMS;
    for (let from = 0; from < into.length; from += piece) {
      if (from > 0) yield;
      const to = Math.min(from + piece, into.length);
      this.native.fold(into, arrays, ends, scales, this.arithmetic, running, from, to);
    }
    return gradients.map((_, place) => {
      const first = place * RUNNING_SUMS;
      return fingerprintChecksum(running.subarray(first, first + FINGERPRINT_SUMS));
    });
  }

  private endsOf(bucket: Bucket): Int32Array {
    const known = this.endsIn.get(bucket);
    if (known !== undefined) return known;
    const ends = endsOf(bucket.table);
    this.endsIn.set(bucket, ends);
    return ends;
  }

  marks({ state }: Arena): StateMarks {
    [state.weights, state.expAvg, state.expAvgSq, state.ema].forEach((array, place) =>
      this.native.fingerprint(array, this.arithmetic, part(this.left, place)),
    );
    return marksOf(this.left);
  }

  update(
    { state, sum }: Arena,
    exponents: Int16Array,
    adamOf: (norm: number) => AdamStep,
  ): { found: string; left: StateMarks } {
    const { ends, found, left, arithmetic } = this;
    const factors = fixedPointFactors(this.table, exponents, this.form, 1 / this.form.microbatches);
    const squares = new Float64Array(1);
    this.native.squares(sum, ends, factors, arithmetic, squares);
    const adam = adamFactors(adamOf(Math.sqrt(squares[0])));
    const { weights, expAvg, expAvgSq, ema } = state;
    this.native.update(sum, ends, factors, weights, expAvg, expAvgSq, ema, adam, arithmetic, found, left);
    return { found: fingerprintDigest(found), left: marksOf(left) };
  }
}
