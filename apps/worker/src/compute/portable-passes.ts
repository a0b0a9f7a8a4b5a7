/** The passes of a step in JavaScript: what the native ones must agree with, and what runs where those cannot. */
import {
  type ParameterSpans,
  type SumForm,
  addFixedPoint,
  fingerprintChecksum,
  fingerprintOf,
  fromFixedPoint,
  tensorExponents,
} from '@lockstep/exact';
import type { Arithmetic } from '@lockstep/base';
import { stateFingerprints } from '@lockstep/run';
import { adamStep, globalNorm, type AdamStep } from '@lockstep/task';
import type { Arena } from './arena.js';
import type { Bucket } from './buckets.js';
import { sumGradients, type Summand } from './exact-sum.js';
import { marksOf, type BucketMarks, type Passes, type StateMarks } from './passes.js';

export class PortablePasses implements Passes {
  /** [P], the mean gradient; made when it is needed first. */
  private mean = new Float32Array(0);

  constructor(
    private readonly table: ParameterSpans,
    private readonly form: SumForm,
    private readonly arithmetic: Arithmetic,
  ) {}

  checksum(numbers: Float32Array): number {
    return fingerprintChecksum(fingerprintOf(numbers, this.arithmetic));
  }

  describe({ from, to, table }: Bucket, gradient: Float32Array): BucketMarks {
    const values = gradient.subarray(from, to);
    return { exponents: tensorExponents(values, table, this.form), checksum: this.checksum(values) };
  }

  *fold(
    { from, to, table }: Bucket,
    sum: Int32Array,
    gradients: readonly Summand[],
    exponents: Int16Array,
  ): Generator<undefined, number[]> {
    const { form } = this;
    const into = sum.subarray(from, to);
    const parts = gradients.map(({ values, exponents: own }) => ({
      values: values.subarray(from, to),
      exponents: own,
    }));
    sumGradients(into, parts.slice(0, 1), table, exponents, form);
    for (const { values, exponents: own } of parts.slice(1)) {
      yield;
      addFixedPoint(into, values, table, exponents, form, 'add', own);
    }
    return parts.map(({ values }) => this.checksum(values));
  }

  marks({ state }: Arena): StateMarks {
    return marksOf(stateFingerprints(state, this.arithmetic));
  }

  update(arena: Arena, exponents: Int16Array, adamOf: (norm: number) => AdamStep): { found: string; left: StateMarks } {
    const { state, sum } = arena;
    if (this.mean.length !== sum.length) this.mean = new Float32Array(sum.length);
    fromFixedPoint(sum, this.mean, this.table, exponents, this.form, 1 / this.form.microbatches);
    const adam = adamOf(globalNorm(this.mean, this.arithmetic));
    const found = this.marks(arena).digest;
    adamStep(state, this.mean, adam);
    return { found, left: this.marks(arena) };
  }
}
