/**
 * Gradient sums that do not depend on order: float32 gradients become integers with one agreed exponent a tensor.
 *
 * Nouns
 *   g        one microbatch's gradient, flat float32, length P; a table of spans cuts it into parameter tensors
 *   M        microbatches in the step (over all workers); k = ceil(log2 M)
 *   wire     what the sum travels as, which says how many bits W of its magnitude there are: W = 30 for int32, 15 for int16
 *   e        a tensor's exponent, as in C's frexp: the smallest e with |g| < 2^e for all its elements. For int16 also none of them
 *            may be rounded to 2^(15-k) units, so it is one more where the largest lies within half a unit of 2^e (and NON_FINITE where
 *            that is 2^128, float32's end)
 *   quantum  2^(e - W + k), the value of one integer unit in that tensor
 *   sum      length P: the sum over microbatches of roundHalfEven(g / quantum). int32 in memory, whatever the wire (narrow.ts)
 *
 * Why it cannot overflow. |g| < 2^e, so |g / quantum| < 2^(W-k), and since 2^(W-k) is an integer, rounding gives at most
 * 2^(W-k) in magnitude. There are M <= 2^k summands, so every partial sum, in any order and any grouping, is at most
 * 2^k * 2^(W-k) = 2^W in magnitude: 2^30 < 2^31 for int32. That would be one too many for int16, but there rounding gives at most
 * 2^(15-k) - 1, and every partial sum is at most 2^k * (2^(15-k) - 1) < 2^15. (A gradient whose own e is less than the agreed one is
 * below half of 2^e, far from it.) Integer addition without wrap is associative and commutative: hence equal bits.
 *
 * Error bound. Each rounding errs by at most quantum / 2, so the sum errs by at most M * quantum / 2 <= 2^(2k - W - 1) * 2^e,
 * and the mean over microbatches by at most quantum / 2 <= M * 2^-W * 2^e: relative to the tensor's largest element
 * (at least 2^(e-1); for int16 a hair less) that is below M * 2^(1-W), M * 2^-29 for int32.
 */
import { FixedPointError } from './errors.js';
import type { Wire } from './wire-type.js';

/** The part of a parameter table's entry that is needed here: a tensor's place in the flat gradient, in elements. */
export type ParameterSpan = { readonly name: string; readonly offset: number; readonly size: number };
/** Contiguous spans, in order, covering 0..P-1. */
export type ParameterSpans = readonly ParameterSpan[];

/** Exponent of a tensor whose elements are all zero: below every real exponent, so that a maximum ignores it. */
export const ZERO_TENSOR = -32_768;
/** Exponent of a tensor that holds NaN or Inf, or would be rounded to it: above every real exponent, so that a maximum keeps it. */
export const NON_FINITE = 32_767;
/** What fixes the unit of a step's integers, beside the exponents: the wire, and the number of microbatches in the whole step. */
export type SumForm = { readonly wire: Wire; readonly microbatches: number };

/**
 * Most microbatches in a step: with more of them a microbatch would keep fewer than 14 bits below its tensor's exponent, or, of an
 * int16, fewer than 7.
 */
export const MAX_SUMMANDS: Readonly<Record<Wire, number>> = { int32: 65_536, int16: 256 };
/** Largest magnitude of an agreed exponent. float32 needs -148..128; the rest is headroom for guesses, far from float64's ends. */
export const EXPONENT_LIMIT = 512;

/** Bits that a sum may use: 2^30 leaves the sign and one spare bit in int32; int16 has none to spare. */
const SUM_BITS: Readonly<Record<Wire, number>> = { int32: 30, int16: 15 };
const ABS_MASK = 0x7fff_ffff;
const INFINITY_BITS = 0x7f80_0000;
const FRACTION_MASK = 0x007f_ffff;
/** Of the largest float32. */
const MAX_EXPONENT = 128;
/** 1.5 * 2^52: adding and subtracting it rounds any |x| < 2^51 to an integer, ties to even, as float64's ulp there is 1. */
const ROUND_TO_INTEGER = 6_755_399_441_055_744;

/** Largest magnitude among elements [start, end) as float32 bits without the sign; bits order as magnitudes do. */
function maxMagnitudeBits(bits: Int32Array, start: number, end: number): number {
  let m0 = 0;
  let m1 = 0;
  let m2 = 0;
  let m3 = 0;
  let i = start;
  // Four independent maxima: a single one would be a chain of dependent comparisons.
  for (; i + 3 < end; i += 4) {
    m0 = Math.max(m0, bits[i] & ABS_MASK);
    m1 = Math.max(m1, bits[i + 1] & ABS_MASK);
    m2 = Math.max(m2, bits[i + 2] & ABS_MASK);
    m3 = Math.max(m3, bits[i + 3] & ABS_MASK);
  }
  for (; i < end; i++) m0 = Math.max(m0, bits[i] & ABS_MASK);
  return Math.max(m0, m1, m2, m3);
}

/** frexp's exponent of a magnitude given as float32 bits, or a sentinel. */
function frexpOfBits(magnitude: number): number {
  if (magnitude >= INFINITY_BITS) return NON_FINITE;
  if (magnitude === 0) return ZERO_TENSOR;
  const biased = magnitude >>> 23;
  // Denormals: value = magnitude * 2^-149, and 32 - clz32 is the bit length of magnitude.
  return biased === 0 ? 32 - Math.clz32(magnitude) - 149 : biased - 126;
}

/** W - k: bits of one microbatch's rounded magnitude. Throws E_FIXEDPOINT_ARGUMENT. */
function bitsOf({ wire, microbatches }: SumForm): number {
  if (!Number.isInteger(microbatches) || microbatches < 1 || microbatches > MAX_SUMMANDS[wire]) {
    throw new FixedPointError(
      'E_FIXEDPOINT_ARGUMENT',
      `${microbatches} microbatches in a step, allowed are 1 to ${MAX_SUMMANDS[wire]} with ${wire} on the wire; change globalBatch / microbatchSize`,
    );
  }
  const carryBits = 32 - Math.clz32(microbatches - 1);
  return SUM_BITS[wire] - carryBits;
}

/**
 * How the exponent follows from the largest magnitude of a tensor, given as float32 bits without the sign (this file's header), or
 * a sentinel. Throws E_FIXEDPOINT_ARGUMENT.
 */
export function exponentsIn(form: SumForm): (magnitude: number) => number {
  const bits = bitsOf(form);
  switch (form.wire) {
    case 'int32':
      return frexpOfBits;
    case 'int16':
      return (magnitude) => {
        const exponent = frexpOfBits(magnitude);
        if (exponent === NON_FINITE || exponent === ZERO_TENSOR) return exponent;
        const fraction = magnitude & FRACTION_MASK;
        const significand = magnitude > FRACTION_MASK ? fraction + FRACTION_MASK + 1 : fraction;
        const top = 2 ** (32 - Math.clz32(significand));
        // From half a unit below 2^exponent on: a tie is rounded up, as 2^bits is even.
        if (significand < top - top * 2 ** -(bits + 1)) return exponent;
        // What is rounded to 2^128 has no finite mean.
        return exponent === MAX_EXPONENT ? NON_FINITE : exponent + 1;
      };
    default:
      return form.wire satisfies never;
  }
}

function checkSpans(length: number, table: ParameterSpans): void {
  let next = 0;
  for (const { name, offset, size } of table) {
    if (offset !== next || !Number.isInteger(size) || size < 0) {
      throw new FixedPointError(
        'E_FIXEDPOINT_SHAPE',
        `tensor ${name} starts at ${offset} with size ${size}, expected offset ${next}; pass a contiguous parameter table`,
        name,
      );
    }
    next += size;
  }
  if (next !== length) {
    throw new FixedPointError(
      'E_FIXEDPOINT_SHAPE',
      `the parameter table covers ${next} elements, the array has ${length}; pass arrays of the table's length`,
    );
  }
}

/** log2 of each tensor's quantum; ZERO_TENSOR stays. Throws E_FIXEDPOINT_ARGUMENT, E_FIXEDPOINT_SHAPE, E_FIXEDPOINT_NON_FINITE. */
function quantumExponents(table: ParameterSpans, exponents: Int16Array, form: SumForm): Int16Array {
  const bits = bitsOf(form);
  if (exponents.length !== table.length) {
    throw new FixedPointError(
      'E_FIXEDPOINT_SHAPE',
      `${exponents.length} exponents for ${table.length} tensors; agree on one exponent a tensor`,
    );
  }
  return exponents.map((exponent, t) => {
    if (exponent === ZERO_TENSOR) return ZERO_TENSOR;
    if (exponent === NON_FINITE) {
      throw new FixedPointError(
        'E_FIXEDPOINT_NON_FINITE',
        `the agreed exponent of tensor ${table[t].name} says NaN or Inf; find the microbatch that reported it, the run has diverged`,
        table[t].name,
      );
    }
    if (Math.abs(exponent) > EXPONENT_LIMIT) {
      throw new FixedPointError(
        'E_FIXEDPOINT_ARGUMENT',
        `exponent ${exponent} of tensor ${table[t].name} is outside -${EXPONENT_LIMIT}..${EXPONENT_LIMIT}; use tensorExponents' values`,
        table[t].name,
      );
    }
    return exponent - bits;
  });
}

/**
 * 1 / quantum of each tensor, what a gradient's elements are multiplied by before they are rounded; 0 where all are zero.
 * Throws E_FIXEDPOINT_ARGUMENT, E_FIXEDPOINT_SHAPE, E_FIXEDPOINT_NON_FINITE.
 */
export function fixedPointScales(table: ParameterSpans, exponents: Int16Array, form: SumForm): Float64Array {
  const quanta = quantumExponents(table, exponents, form);
  return Float64Array.from(quanta, (quantum) => (quantum === ZERO_TENSOR ? 0 : 2 ** -quantum));
}

/** quantum x `scale` of each tensor, what the sum is multiplied by; 0 where all are zero. Throws as `fixedPointScales`. */
export function fixedPointFactors(
  table: ParameterSpans,
  exponents: Int16Array,
  form: SumForm,
  scale: number,
): Float64Array {
  const quanta = quantumExponents(table, exponents, form);
  return Float64Array.from(quanta, (quantum) => (quantum === ZERO_TENSOR ? 0 : 2 ** quantum * scale));
}

/**
 * The exponent of each tensor of a gradient: the smallest e with |g| < 2^e for all its elements (frexp's convention:
 * 1.0 has 1, 0.75 has 0; for int16 it can be one more, see this file's header), ZERO_TENSOR if all are zero (or there are none),
 * NON_FINITE if one is NaN or Inf. gradient: [P]; result: [tensors]. Throws E_FIXEDPOINT_SHAPE, E_FIXEDPOINT_ARGUMENT.
 */
export function tensorExponents(gradient: Float32Array, table: ParameterSpans, form: SumForm): Int16Array {
  checkSpans(gradient.length, table);
  const exponentOf = exponentsIn(form);
  const bits = new Int32Array(gradient.buffer, gradient.byteOffset, gradient.length);
  return Int16Array.from(table, ({ offset, size }) => exponentOf(maxMagnitudeBits(bits, offset, offset + size)));
}

/** The larger of two exponents for each tensor, sentinels included: what workers agree on. Throws E_FIXEDPOINT_SHAPE. */
export function maxExponents(a: Int16Array, b: Int16Array): Int16Array {
  if (a.length !== b.length) {
    throw new FixedPointError(
      'E_FIXEDPOINT_SHAPE',
      `${a.length} exponents against ${b.length}; all workers must train the same network`,
    );
  }
  return a.map((exponent, t) => Math.max(exponent, b[t]));
}

/**
 * Every tensor of a gradient with the exponents `own` must stay below its agreed exponent: this is the premise of the proof
 * above. Throws E_FIXEDPOINT_NON_FINITE, E_FIXEDPOINT_EXCEEDS.
 */
export function checkBelow(own: Int16Array, table: ParameterSpans, exponents: Int16Array): void {
  own.forEach((exponent, t) => {
    if (exponent <= exponents[t]) return;
    const { name } = table[t];
    if (exponent === NON_FINITE) {
      throw new FixedPointError(
        'E_FIXEDPOINT_NON_FINITE',
        `tensor ${name} of the gradient holds NaN or Inf; the run has diverged, lower the learning rate or resume from a checkpoint`,
        name,
      );
    }
    throw new FixedPointError(
      'E_FIXEDPOINT_EXCEEDS',
      `tensor ${name} has exponent ${exponent}, agreed was ${exponents[t]}; agree on the maximum over all microbatches`,
      name,
    );
  });
}

/** How a microbatch enters the sum: `add` to what is there, or `overwrite` it, which saves the first one a zero fill. */
export type Accumulation = 'add' | 'overwrite';

/**
 * sum += roundHalfEven(gradient / quantum), with the quantum of `form` for each tensor.
 *
 * No partial sum over at most `form.microbatches` gradients can overflow (proof in this file's header). g / quantum is a
 * multiplication of a float32 by a power of two in float64, hence exact; the rounding is float64's own ties-to-even.
 * sum: [P], gradient: [P], exponents: [tensors], own: [tensors], the gradient's, for those who have them already. Nothing is written if it throws:
 * E_FIXEDPOINT_NON_FINITE, E_FIXEDPOINT_EXCEEDS, E_FIXEDPOINT_SHAPE, E_FIXEDPOINT_ARGUMENT.
 */
export function addFixedPoint(
  sum: Int32Array,
  gradient: Float32Array,
  table: ParameterSpans,
  exponents: Int16Array,
  form: SumForm,
  accumulation: Accumulation = 'add',
  own: Int16Array = tensorExponents(gradient, table, form),
): void {
  const quanta = quantumExponents(table, exponents, form);
  checkSpans(sum.length, table);
  checkBelow(own, table, exponents);
  table.forEach(({ offset, size }, t) => {
    const end = offset + size;
    if (quanta[t] === ZERO_TENSOR) {
      if (accumulation === 'overwrite') sum.fill(0, offset, end);
      return;
    }
    const inverseQuantum = 2 ** -quanta[t];
    if (accumulation === 'overwrite') overwriteRounded(sum, gradient, offset, end, inverseQuantum);
    else addRounded(sum, gradient, offset, end, inverseQuantum);
  });
}

function addRounded(sum: Int32Array, gradient: Float32Array, start: number, end: number, inverseQuantum: number): void {
  for (let i = start; i < end; i++) {
    sum[i] = (sum[i] + (gradient[i] * inverseQuantum + ROUND_TO_INTEGER - ROUND_TO_INTEGER)) | 0;
  }
}

function overwriteRounded(
  sum: Int32Array,
  gradient: Float32Array,
  start: number,
  end: number,
  inverseQuantum: number,
): void {
  for (let i = start; i < end; i++) {
    sum[i] = (gradient[i] * inverseQuantum + ROUND_TO_INTEGER - ROUND_TO_INTEGER) | 0;
  }
}

/**
 * out = fround(sum * quantum * scale): the reduced sum as float32, all workers with equal bits.
 *
 * `scale` is 1 / microbatches for a mean. The product is taken in float64 (one rounding, since quantum is a power of two)
 * and rounded once more to float32; a value beyond float32's range becomes Infinity, as a float32 sum would.
 * sum: [P], out: [P], exponents: [tensors]. Throws E_FIXEDPOINT_NON_FINITE, E_FIXEDPOINT_SHAPE, E_FIXEDPOINT_ARGUMENT.
 */
export function fromFixedPoint(
  sum: Int32Array,
  out: Float32Array,
  table: ParameterSpans,
  exponents: Int16Array,
  form: SumForm,
  scale: number,
): void {
  const quanta = quantumExponents(table, exponents, form);
  checkSpans(sum.length, table);
  checkSpans(out.length, table);
  if (!Number.isFinite(scale)) {
    throw new FixedPointError(
      'E_FIXEDPOINT_ARGUMENT',
      `scale is ${scale}; pass a finite factor such as 1 / microbatches`,
    );
  }
  table.forEach(({ offset, size }, t) => {
    const end = offset + size;
    if (quanta[t] === ZERO_TENSOR) out.fill(0, offset, end);
    else scaleSum(sum, out, offset, end, 2 ** quanta[t] * scale);
  });
}

function scaleSum(sum: Int32Array, out: Float32Array, start: number, end: number, factor: number): void {
  for (let i = start; i < end; i++) out[i] = sum[i] * factor;
}
