/** The passes of a step in native code (libs/engine, passes.ts). */
import {
  checkBelow,
  exponentOfBits,
  fixedPointFactors,
  fixedPointScales,
  type ParameterSpans,
  type RunSettings,
} from '@lockstep/comm';
import { fingerprintChecksum, fingerprintDigest, FINGERPRINT_SUMS } from '@lockstep/checkpoint';
import { adamFactors, NORM_SUMS, normOf, parameterTable, parseRecipe, type AdamStep } from '@lockstep/diffusion';
import { loadPasses, type NativePasses } from '@lockstep/engine';
import type { Arena } from './arena.js';
import type { Summand } from './exact-sum.js';
import { marksOf, part, type Passes, type StateMarks } from './passes.js';
import { PortablePasses } from './portable-passes.js';

/** The quickest passes that there are here. @throws EngineError E_ENGINE_MISSING, E_ENGINE_LOAD; DiffusionError E_RECIPE, E_MODEL_CONFIG */
export function passesFor(settings: RunSettings, engineDirectory: string): Passes {
  const { model, globalBatch, microbatchSize } = parseRecipe(settings.recipe);
  const table = parameterTable(model);
  const native = loadPasses(engineDirectory);
  const microbatches = globalBatch / microbatchSize;
  return native === null ? new PortablePasses(table, microbatches) : new FastPasses(native, table, microbatches);
}

/** Numbers that are read and written in one piece of a sum: 4 to 5 ms. */
const PIECE = 1 << 24;

/** The native passes, with their working memory. */
export class FastPasses implements Passes {
  private readonly ends: Int32Array;
  private readonly largest: Uint32Array;
  private readonly print = new Uint32Array(FINGERPRINT_SUMS);
  private readonly found = new Uint32Array(4 * FINGERPRINT_SUMS);
  private readonly left = new Uint32Array(4 * FINGERPRINT_SUMS);

  constructor(
    private readonly native: NativePasses,
    private readonly table: ParameterSpans,
    private readonly microbatches: number,
  ) {
    this.ends = Int32Array.from(table, ({ offset, size }) => offset + size);
    this.largest = new Uint32Array(table.length);
  }

  checksum(numbers: Float32Array): number {
    this.native.fingerprint(numbers, this.print);
    return fingerprintChecksum(this.print);
  }

  describe(gradient: Float32Array): { exponents: Int16Array; checksum: number } {
    this.native.describe(gradient, this.ends, this.largest, this.print);
    return { exponents: Int16Array.from(this.largest, exponentOfBits), checksum: fingerprintChecksum(this.print) };
  }

  *fold(sum: Int32Array, gradients: readonly Summand[], exponents: Int16Array): Generator<undefined, number[]> {
    const scales = fixedPointScales(this.table, exponents, this.microbatches);
    for (const { exponents: own } of gradients) checkBelow(own, this.table, exponents);
    const prints = new Uint32Array(gradients.length * FINGERPRINT_SUMS);
    const arrays = gradients.map(({ values }) => values);
    // Of one gradient more than there are: the sum is written, too.
    const piece = Math.ceil(PIECE / (gradients.length + 1) / FINGERPRINT_SUMS) * FINGERPRINT_SUMS;
    for (let from = 0; from < sum.length; from += piece) {
      if (from > 0) yield;
      this.native.fold(sum, arrays, this.ends, scales, prints, from, Math.min(from + piece, sum.length));
    }
    return gradients.map((_, place) => fingerprintChecksum(part(prints, place)));
  }

  marks({ state }: Arena): StateMarks {
    [state.weights, state.expAvg, state.expAvgSq, state.ema].forEach((array, place) =>
      this.native.fingerprint(array, part(this.left, place)),
    );
    return marksOf(this.left);
  }

  update(
    { state, sum }: Arena,
    exponents: Int16Array,
    adamOf: (norm: number) => AdamStep,
  ): { found: string; left: StateMarks } {
    const { ends, found, left } = this;
    const factors = fixedPointFactors(this.table, exponents, this.microbatches, 1 / this.microbatches);
    const squares = new Float64Array(NORM_SUMS);
    this.native.squares(sum, ends, factors, squares);
    const adam = adamFactors(adamOf(normOf(squares)));
    const { weights, expAvg, expAvgSq, ema } = state;
    this.native.update(sum, ends, factors, weights, expAvg, expAvgSq, ema, adam, found, left);
    return { found: fingerprintDigest(found), left: marksOf(left) };
  }
}
