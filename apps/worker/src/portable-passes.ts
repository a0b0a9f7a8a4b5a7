/** The passes of a step in JavaScript: what the native ones must agree with, and what runs where those cannot. */
import { addFixedPoint, fromFixedPoint, tensorExponents, type ParameterSpans } from '@lockstep/comm';
import { fingerprintChecksum, fingerprintOf, stateFingerprints } from '@lockstep/checkpoint';
import { adamStep, globalNorm, type AdamStep } from '@lockstep/diffusion';
import type { Arena } from './arena.js';
import { sumGradients, type Summand } from './exact-sum.js';
import { marksOf, type Passes, type StateMarks } from './passes.js';

export class PortablePasses implements Passes {
  /** [P], the mean gradient; made when it is needed first. */
  private mean = new Float32Array(0);

  constructor(
    private readonly table: ParameterSpans,
    private readonly microbatches: number,
  ) {}

  checksum(numbers: Float32Array): number {
    return fingerprintChecksum(fingerprintOf(numbers));
  }

  describe(gradient: Float32Array): { exponents: Int16Array; checksum: number } {
    return { exponents: tensorExponents(gradient, this.table), checksum: this.checksum(gradient) };
  }

  *fold(sum: Int32Array, gradients: readonly Summand[], exponents: Int16Array): Generator<undefined, number[]> {
    const { table, microbatches } = this;
    sumGradients(sum, gradients.slice(0, 1), table, exponents, microbatches);
    for (const { values, exponents: own } of gradients.slice(1)) {
      yield;
      addFixedPoint(sum, values, table, exponents, microbatches, 'add', own);
    }
    return gradients.map(({ values }) => this.checksum(values));
  }

  marks({ state }: Arena): StateMarks {
    return marksOf(stateFingerprints(state));
  }

  update(arena: Arena, exponents: Int16Array, adamOf: (norm: number) => AdamStep): { found: string; left: StateMarks } {
    const { state, sum } = arena;
    if (this.mean.length !== sum.length) this.mean = new Float32Array(sum.length);
    fromFixedPoint(sum, this.mean, this.table, exponents, this.microbatches, 1 / this.microbatches);
    const adam = adamOf(globalNorm(this.mean));
    const found = this.marks(arena).digest;
    adamStep(state, this.mean, adam);
    return { found, left: this.marks(arena) };
  }
}
