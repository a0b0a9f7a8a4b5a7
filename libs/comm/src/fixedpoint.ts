/**
 * Gradient sums that do not depend on order: float32 gradients become integers with one agreed exponent a tensor.
 *
 * Nouns
 *   g        one microbatch's gradient, flat float32, length P; a table of spans cuts it into parameter tensors
 *   e        a tensor's exponent as in C's frexp: the smallest e with |g| < 2^e for all its elements
 *   M        microbatches in the step (over all workers); k = ceil(log2 M)
 *   quantum  2^(e - 30 + k), the value of one integer unit in that tensor
 *   sum      int32, length P: the sum over microbatches of roundHalfEven(g / quantum)
 *
 * Why it cannot overflow. |g| < 2^e, so |g / quantum| < 2^(30-k), and since 2^(30-k) is an integer, rounding gives at most
 * 2^(30-k) in magnitude. There are M <= 2^k summands, so every partial sum, in any order and any grouping, is at most
 * 2^k * 2^(30-k) = 2^30 < 2^31 in magnitude. Integer addition without wrap is associative and commutative: hence equal bits.
 *
 * Error bound. Each rounding errs by at most quantum / 2, so the sum errs by at most M * quantum / 2 <= 2^(2k - 31) * 2^e,
 * and the mean over microbatches by at most quantum / 2 <= M * 2^-30 * 2^e: relative to the tensor's largest element
 * (at least 2^(e-1)) that is below M * 2^-29.
 */
import { FixedPointError } from './errors.js';

/** The part of a parameter table's entry that is needed here: a tensor's place in the flat gradient, in elements. */
export type ParameterSpan = { readonly name: string; readonly offset: number; readonly size: number };
/** Contiguous spans, in order, covering 0..P-1. */
export type ParameterSpans = readonly ParameterSpan[];

/** Exponent of a tensor whose elements are all zero: below every real exponent, so that a maximum ignores it. */
export const ZERO_TENSOR = -32_768;
/** Exponent of a tensor that holds NaN or Inf: above every real exponent, so that a maximum keeps it. */
export const NON_FINITE = 32_767;
/** Most microbatches in a step: beyond 2^16 a microbatch would keep fewer than 14 bits below its tensor's exponent. */
export const MAX_SUMMANDS = 65_536;
/** Largest magnitude of an agreed exponent. float32 needs -148..128; the rest is headroom for guesses, far from float64's ends. */
export const EXPONENT_LIMIT = 512;

/** Bits that a microbatch sum may use: 2^30 leaves the sign and one spare bit in int32. */
const SUM_BITS = 30;
const ABS_MASK = 0x7fff_ffff;
const INFINITY_BITS = 0x7f80_0000;
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
export function exponentOfBits(magnitude: number): number {
  if (magnitude >= INFINITY_BITS) return NON_FINITE;
  if (magnitude === 0) return ZERO_TENSOR;
  const biased = magnitude >>> 23;
  // Denormals: value = magnitude * 2^-149, and 32 - clz32 is the bit length of magnitude.
  return biased === 0 ? 32 - Math.clz32(magnitude) - 149 : biased - 126;
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
function quantumExponents(table: ParameterSpans, exponents: Int16Array, microbatches: number): Int16Array {
  if (!Number.isInteger(microbatches) || microbatches < 1 || microbatches > MAX_SUMMANDS) {
    throw new FixedPointError(
      'E_FIXEDPOINT_ARGUMENT',
      `${microbatches} microbatches in a step, allowed are 1 to ${MAX_SUMMANDS}; change globalBatch / microbatchSize`,
    );
  }
  if (exponents.length !== table.length) {
    throw new FixedPointError(
      'E_FIXEDPOINT_SHAPE',
      `${exponents.length} exponents for ${table.length} tensors; agree on one exponent a tensor`,
    );
  }
  const carryBits = 32 - Math.clz32(microbatches - 1);
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
    return exponent - SUM_BITS + carryBits;
  });
}

/**
 * 1 / quantum of each tensor, what a gradient's elements are multiplied by before they are rounded; 0 where all are zero.
 * Throws E_FIXEDPOINT_ARGUMENT, E_FIXEDPOINT_SHAPE, E_FIXEDPOINT_NON_FINITE.
 */
export function fixedPointScales(table: ParameterSpans, exponents: Int16Array, microbatches: number): Float64Array {
  const quanta = quantumExponents(table, exponents, microbatches);
  return Float64Array.from(quanta, (quantum) => (quantum === ZERO_TENSOR ? 0 : 2 ** -quantum));
}

/** quantum x `scale` of each tensor, what the sum is multiplied by; 0 where all are zero. Throws as `fixedPointScales`. */
export function fixedPointFactors(
  table: ParameterSpans,
  exponents: Int16Array,
  microbatches: number,
  scale: number,
): Float64Array {
  const quanta = quantumExponents(table, exponents, microbatches);
  return Float64Array.from(quanta, (quantum) => (quantum === ZERO_TENSOR ? 0 : 2 ** quantum * scale));
}

/**
 * The exponent of each tensor of a gradient: the smallest e with |g| < 2^e for all its elements (frexp's convention:
 * 1.0 has 1, 0.75 has 0), ZERO_TENSOR if all are zero (or there are none), NON_FINITE if one is NaN or Inf.
 * gradient: [P]; result: [tensors]. Throws E_FIXEDPOINT_SHAPE.
 */
export function tensorExponents(gradient: Float32Array, table: ParameterSpans): Int16Array {
  checkSpans(gradient.length, table);
  const bits = new Int32Array(gradient.buffer, gradient.byteOffset, gradient.length);
  return Int16Array.from(table, ({ offset, size }) => exponentOfBits(maxMagnitudeBits(bits, offset, offset + size)));
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
 * sum += roundHalfEven(gradient / quantum), quantum = 2^(exponent - 30 + ceil(log2 microbatches)) for each tensor.
 *
 * `microbatches` is the number in the whole step, not this worker's. No partial sum over at most that many gradients can
 * overflow int32 (proof in this file's header). g / quantum is a multiplication of a float32 by a power of two in float64,
 * hence exact; the rounding is float64's own ties-to-even.
 * sum: [P], gradient: [P], exponents: [tensors], own: [tensors], the gradient's, for those who have them already. Nothing is written if it throws:
 * E_FIXEDPOINT_NON_FINITE, E_FIXEDPOINT_EXCEEDS, E_FIXEDPOINT_SHAPE, E_FIXEDPOINT_ARGUMENT.
 */
export function addFixedPoint(
  sum: Int32Array,
  gradient: Float32Array,
  table: ParameterSpans,
  exponents: Int16Array,
  microbatches: number,
  accumulation: Accumulation = 'add',
  own: Int16Array = tensorExponents(gradient, table),
): void {
  const quanta = quantumExponents(table, exponents, microbatches);
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
  microbatches: number,
  scale: number,
): void {
  const quanta = quantumExponents(table, exponents, microbatches);
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
