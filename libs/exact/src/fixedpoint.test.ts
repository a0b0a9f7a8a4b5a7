import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FixedPointError } from '#src/errors.js';
import {
  MAX_SUMMANDS,
  NON_FINITE,
  ZERO_TENSOR,
  addFixedPoint,
  fromFixedPoint,
  maxExponents,
  tensorExponents,
} from '#src/fixedpoint.js';
import type { ParameterSpans, SumForm } from '#src/fixedpoint.js';
import { narrow, widen } from '#src/narrow.js';
import { WIRES } from '#src/wire-type.js';

const MAX_FLOAT = Math.fround(3.4028234663852886e38);
const MIN_DENORMAL = 2 ** -149;
const SMALLEST_NORMAL = 2 ** -126;

function tableOf(sizes: readonly number[]): ParameterSpans {
  let offset = 0;
  return sizes.map((size, t) => {
    const span = { name: `tensor${t}`, offset, size };
    offset += size;
    return span;
  });
}

const int32 = (microbatches: number): SumForm => ({ wire: 'int32', microbatches });
const int16 = (microbatches: number): SumForm => ({ wire: 'int16', microbatches });

/** log2 of the unit of a tensor with that exponent, as the header of fixedpoint.ts defines it. */
function quantumOf({ wire, microbatches }: SumForm, exponent: number): number {
  return exponent - (wire === 'int32' ? 30 : 15) + Math.ceil(Math.log2(microbatches));
}

/** The definition, in plain arithmetic: the smallest e with |g| < 2^e, and, for int16, with no g rounded to 2^e. */
function exponentByDefinition(values: readonly number[], form: SumForm): number {
  if (values.some((value) => !Number.isFinite(value))) return NON_FINITE;
  const largest = Math.max(0, ...values.map(Math.abs));
  if (largest === 0) return ZERO_TENSOR;
  const isTooSmall = (e: number): boolean => {
    const unit = 2 ** quantumOf(form, e);
    return largest >= 2 ** e || (form.wire === 'int16' && roundHalfEven(largest / unit) * unit === 2 ** e);
  };
  let e = -148;
  while (isTooSmall(e)) e++;
  return e > 128 ? NON_FINITE : e;
}

/** Ties-to-even on an exact quotient, by comparison with the two neighbouring integers. */
function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  const fraction = x - low;
  if (fraction < 0.5) return low;
  if (fraction > 0.5) return low + 1;
  return low % 2 === 0 ? low : low + 1;
}

const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });
/** Just below a power of two, where it matters to int16 to which side it is rounded. */
const nearPower = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 13 }), fc.integer({ min: -2, max: 0 }), fc.constantFrom(-1, 1))
  .map(([below, power, sign]) => sign * (1 - below * 2 ** -24) * 2 ** power);
/** Between 1 and 9 gradients of one network of 1 to 4 tensors. */
const step = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }).chain((sizes) => {
  const length = sizes.reduce((a, b) => a + b, 0);
  const gradient = fc
    .array(fc.oneof(anyFloat, fc.float({ min: -1, max: 1, noNaN: true }), nearPower), {
      minLength: length,
      maxLength: length,
    })
    .map((values) => Float32Array.from(values));
  return fc.record({
    table: fc.constant(tableOf(sizes)),
    gradients: fc.array(gradient, { minLength: 1, maxLength: 9 }),
  });
});

function agreed(gradients: readonly Float32Array[], table: ParameterSpans, form: SumForm): Int16Array {
  return gradients.map((gradient) => tensorExponents(gradient, table, form)).reduce(maxExponents);
}

function sumOf(
  gradients: readonly Float32Array[],
  table: ParameterSpans,
  exponents: Int16Array,
  form: SumForm,
): Int32Array {
  const sum = new Int32Array(gradients[0]?.length ?? 0);
  for (const gradient of gradients) addFixedPoint(sum, gradient, table, exponents, form);
  return sum;
}

function codeOf(code: string, tensor?: string) {
  return (error: unknown) =>
    error instanceof FixedPointError && error.code === code && (tensor === undefined || error.tensor === tensor);
}

test('exponents follow frexp, also for denormals, the largest float, powers of two and their neighbours', () => {
  const cases = [
    1,
    0.75,
    0.5,
    2,
    -8,
    8.000001,
    MAX_FLOAT,
    -MAX_FLOAT,
    MIN_DENORMAL,
    3 * MIN_DENORMAL,
    SMALLEST_NORMAL,
  ].map(Math.fround);
  for (const value of [...cases, SMALLEST_NORMAL - MIN_DENORMAL, 0, -0, NaN, Infinity, -Infinity]) {
    assert.equal(
      tensorExponents(Float32Array.of(0, value), tableOf([2]), int32(4))[0],
      exponentByDefinition([0, value], int32(4)),
      String(value),
    );
  }
  assert.deepEqual(
    [...tensorExponents(Float32Array.of(1, MIN_DENORMAL, MAX_FLOAT), tableOf([1, 1, 1]), int32(4))],
    [1, -148, 128],
  );
});

for (const wire of WIRES) {
  test(`each tensor has the exponent of its own elements only, wherever its offset falls (${wire})`, () => {
    fc.assert(
      fc.property(step, ({ table, gradients }) => {
        const form = { wire, microbatches: gradients.length };
        for (const gradient of gradients) {
          const expected = table.map(({ offset, size }) =>
            exponentByDefinition([...gradient.subarray(offset, offset + size)], form),
          );
          assert.deepEqual([...tensorExponents(gradient, table, form)], expected);
        }
      }),
    );
  });
}

test('for int16 a tensor whose largest element would be rounded to 2^e has one exponent more, also of denormals', () => {
  for (const m of [1, 2, 3, 4, 5, 64, 200, MAX_SUMMANDS.int16]) {
    const half = 2 ** (quantumOf(int16(m), 0) - 1);
    for (const scale of [1, 2 ** -100, 2 ** 100, 2 ** -125]) {
      const exponentOf = (value: number): number =>
        tensorExponents(Float32Array.of(-value * scale, 0), tableOf([2]), int16(m))[0] - Math.log2(scale);
      // A tie goes to the even 2^e; the next float below does not.
      assert.equal(exponentOf(1 - half), 1, `${m} ${scale}`);
      assert.equal(exponentOf(1 - half - 2 ** -24), 0, `${m} ${scale}`);
    }
    // What is rounded beyond the largest float is not finite; what is rounded to less is.
    const huge = (value: number): number => tensorExponents(Float32Array.of(value), tableOf([1]), int16(m))[0];
    assert.equal(huge((1 - half) * 2 ** 127 * 2), NON_FINITE);
    assert.equal(huge((1 - half - 2 ** -24) * 2 ** 127 * 2), 128);
    // 2^16 units of the last place: the last half unit of int16 is 2^k of them.
    const [top, halfUnit] = [2 ** (16 - 149), half * 2 ** (16 - 149)];
    const ofDenormal = (value: number): number =>
      tensorExponents(Float32Array.of(value), tableOf([1]), int16(m))[0] - (16 - 149);
    assert.equal(ofDenormal(top - halfUnit), 1);
    assert.equal(ofDenormal(top - halfUnit - MIN_DENORMAL), 0);
  }
});

test('a NaN or Inf anywhere makes its tensor NON_FINITE, survives the maximum, and names its tensor when it is summed', () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const table = tableOf([3, 7]);
    const gradient = new Float32Array(10).fill(1);
    gradient[9] = bad;
    const exponents = tensorExponents(gradient, table, int32(2));
    assert.deepEqual([...exponents], [1, NON_FINITE]);
    assert.deepEqual([...tensorExponents(gradient, table, int16(2))], [1, NON_FINITE]);
    assert.equal(maxExponents(exponents, Int16Array.of(100, 100))[1], NON_FINITE);
    assert.throws(
      () => addFixedPoint(new Int32Array(10), gradient, table, exponents, int32(2)),
      codeOf('E_FIXEDPOINT_NON_FINITE', 'tensor1'),
    );
    assert.throws(
      () => addFixedPoint(new Int32Array(10), gradient, table, Int16Array.of(1, 1), int32(2)),
      codeOf('E_FIXEDPOINT_NON_FINITE', 'tensor1'),
    );
  }
});

test('the maximum of exponents is commutative, associative, and ignores zero tensors', () => {
  const exponents = fc
    .array(fc.oneof(fc.constant(ZERO_TENSOR), fc.integer({ min: -148, max: 128 })), { minLength: 3, maxLength: 3 })
    .map((e) => Int16Array.from(e));
  fc.assert(
    fc.property(exponents, exponents, exponents, (a, b, c) => {
      assert.deepEqual(maxExponents(a, b), maxExponents(b, a));
      assert.deepEqual(maxExponents(maxExponents(a, b), c), maxExponents(a, maxExponents(b, c)));
      assert.deepEqual(maxExponents(a, new Int16Array(3).fill(ZERO_TENSOR)), a);
    }),
  );
});

/** What a ring makes of it: the parts of the workers, added element by element in the wire's own integers. */
function ringSum(parts: readonly Int32Array[], { wire }: SumForm): Int32Array {
  const sent = parts.map((part) => (wire === 'int32' ? part : narrowed(part)));
  const total = sent[0].map(() => 0);
  for (const part of sent) for (let i = 0; i < total.length; i++) total[i] += part[i];
  return Int32Array.from(total);
}

/** Does it to the end. */
function finish(pieces: Generator<undefined, void>): void {
  while (pieces.next().done !== true);
}

function narrowed(sum: Int32Array): Int16Array {
  const copy = sum.slice();
  finish(narrow(copy));
  return new Int16Array(copy.buffer, 0, copy.length);
}

for (const wire of WIRES) {
  test(`any order of microbatches and any split over workers gives the same sum (${wire})`, () => {
    fc.assert(
      fc.property(step, fc.infiniteStream(fc.nat()), ({ table, gradients }, numbers) => {
        const form = { wire, microbatches: gradients.length };
        const exponents = agreed(gradients, table, form);
        fc.pre(!exponents.includes(NON_FINITE));
        const expected = sumOf(gradients, table, exponents, form);
        const random = () => Number(numbers.next().value);
        const shuffled = gradients.map((gradient) => ({ gradient, key: random() })).sort((a, b) => a.key - b.key);
        const workers = 1 + (random() % 4);
        const shares = Array.from({ length: workers }, () => [] as Float32Array[]);
        for (const { gradient } of shuffled) shares[random() % workers].push(gradient);
        const parts = shares.map((share) => {
          const sum = new Int32Array(expected.length);
          for (const gradient of share) addFixedPoint(sum, gradient, table, exponents, form);
          return sum;
        });
        assert.deepEqual(ringSum(parts, form), expected);
      }),
      { numRuns: 300 },
    );
  });

  test(`every element is the exact quotient rounded half to even (${wire})`, () => {
    fc.assert(
      fc.property(step, fc.integer({ min: 1, max: MAX_SUMMANDS[wire] }), ({ table, gradients: [gradient] }, m) => {
        const form = { wire, microbatches: m };
        const exponents = tensorExponents(gradient, table, form);
        fc.pre(!exponents.includes(NON_FINITE));
        const sum = new Int32Array(gradient.length).fill(-5);
        addFixedPoint(sum, gradient, table, exponents, form, 'overwrite');
        table.forEach(({ offset, size }, t) => {
          const quantum = 2 ** quantumOf(form, exponents[t]);
          for (let i = offset; i < offset + size; i++) {
            // + 0 turns -0 into 0, which an integer does not know.
            assert.equal(sum[i], exponents[t] === ZERO_TENSOR ? 0 : roundHalfEven(gradient[i] / quantum) + 0);
          }
        });
      }),
    );
  });

  test(`the mean is within half a unit (plus one float32 rounding) of the exact mean (${wire})`, () => {
    fc.assert(
      fc.property(step, ({ table, gradients }) => {
        const m = gradients.length;
        const form = { wire, microbatches: m };
        const exponents = agreed(gradients, table, form);
        fc.pre(!exponents.includes(NON_FINITE));
        const out = new Float32Array(gradients[0].length).fill(NaN);
        fromFixedPoint(sumOf(gradients, table, exponents, form), out, table, exponents, form, 1 / m);
        table.forEach(({ offset, size }, t) => {
          for (let i = offset; i < offset + size; i++) {
            const exact = gradients.reduce((a, gradient) => a + gradient[i], 0) / m;
            const bound = exponents[t] === ZERO_TENSOR ? 0 : 2 ** (quantumOf(form, exponents[t]) - 1);
            const rounding = Math.abs(exact) * 2 ** -23 + MIN_DENORMAL;
            assert.ok(Math.abs(out[i] - exact) <= bound + rounding, `${out[i]} against ${exact}`);
          }
        });
      }),
    );
  });
}

test('ties go to the even neighbour', () => {
  // m = 2^16 and exponent 17 make the quantum 2^3.
  const gradient = Float32Array.of(4, 12, 20, -4, -12, -20, 2 ** 16);
  const sum = new Int32Array(7);
  addFixedPoint(sum, gradient, tableOf([7]), Int16Array.of(17), int32(MAX_SUMMANDS.int32));
  assert.deepEqual([...sum], [0, 2, 2, 0, -2, -2, 2 ** 13]);
});

test('overwriting the first microbatch equals adding it to zeros, whatever was there', () => {
  fc.assert(
    fc.property(step, ({ table, gradients: [gradient] }) => {
      const exponents = tensorExponents(gradient, table, int32(3));
      const dirty = new Int32Array(gradient.length).fill(123_456_789);
      addFixedPoint(dirty, gradient, table, exponents, int32(3), 'overwrite');
      assert.deepEqual(dirty, sumOf([gradient], table, exponents, int32(3)));
    }),
  );
});

test('the largest allowed gradients do not overflow for any number of microbatches', () => {
  for (const m of [1, 2, 3, 4, 5, 255, 256, 257]) {
    const gradient = Float32Array.of(MAX_FLOAT, -MAX_FLOAT);
    const table = tableOf([2]);
    const exponents = tensorExponents(gradient, table, int32(m));
    const sum = new Int32Array(2);
    let expected = 0;
    for (let i = 0; i < m; i++) {
      addFixedPoint(sum, gradient, table, exponents, int32(m));
      expected += roundHalfEven(MAX_FLOAT / 2 ** (128 - 30 + Math.ceil(Math.log2(m))));
    }
    assert.ok(expected <= 2 ** 30);
    assert.deepEqual([...sum], [expected, -expected]);
  }
});

test('as int16, gradients that are all as large as their exponent allows fit, with any number of them', () => {
  for (const m of [1, 2, 3, 4, 5, 100, 128, 129, 255, MAX_SUMMANDS.int16]) {
    // The largest float that is rounded to one unit less than 2^0, and the smallest that has exponent 1 for it.
    const threshold = 1 - 2 ** (quantumOf(int16(m), 0) - 1);
    const largest = threshold - 2 ** -24;
    for (const [value, exponent] of [
      [largest, 0],
      [threshold, 1],
    ]) {
      const gradient = Float32Array.of(value, -value);
      const table = tableOf([2]);
      const exponents = tensorExponents(gradient, table, int16(m));
      assert.deepEqual([...exponents], [exponent]);
      const each = roundHalfEven(value / 2 ** quantumOf(int16(m), exponent));
      const sum = sumOf(new Array<Float32Array>(m).fill(gradient), table, exponents, int16(m));
      assert.deepEqual([...narrowed(sum)], [m * each, -m * each]);
    }
  }
});

test('a sum becomes narrow and wide again in its own memory, whole, and touches nothing around it', () => {
  const values = fc.array(fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }), { maxLength: 40 });
  fc.assert(
    fc.property(values, (numbers) => {
      const memory = new Int32Array(new SharedArrayBuffer(4 * (numbers.length + 2))).fill(77);
      const sum = memory.subarray(1, 1 + numbers.length);
      sum.set(numbers);
      finish(narrow(sum));
      assert.deepEqual([...new Int16Array(memory.buffer, 4, numbers.length)], numbers);
      finish(widen(sum));
      assert.deepEqual([...memory], [77, ...numbers, 77]);
    }),
  );
});

test('a large sum becomes narrow and wide in pieces', () => {
  const length = 9_000_001;
  const sum = Int32Array.from({ length }, (_, i) => (Math.imul(i, 40_503) << 16) >> 16);
  const expected = Int16Array.from(sum);
  const pauses = (pieces: Generator<undefined, void>): number => [...pieces].length;
  assert.equal(pauses(narrow(sum)), 2);
  assert.ok(Buffer.from(sum.buffer, 0, 2 * length).equals(Buffer.from(expected.buffer)));
  assert.equal(pauses(widen(sum)), 2);
  assert.ok(Buffer.from(sum.buffer).equals(Buffer.from(Int32Array.from(expected).buffer)));
});

test('a number that does not fit int16 is an error, and never wraps', () => {
  for (const bad of [2 ** 15, -(2 ** 15) - 1, 2 ** 16, 2 ** 31 - 1, -(2 ** 31)]) {
    for (const at of [0, 1, 2]) {
      const sum = Int32Array.of(1, 2, 3);
      sum[at] = bad;
      assert.throws(() => [...narrow(sum)], codeOf('E_FIXEDPOINT_OVERFLOW'), String(bad));
    }
  }
});

test('denormal gradients are summed exactly', () => {
  const table = tableOf([3]);
  const gradient = Float32Array.of(MIN_DENORMAL, -3 * MIN_DENORMAL, 0);
  const exponents = tensorExponents(gradient, table, int32(3));
  const out = new Float32Array(3);
  fromFixedPoint(sumOf([gradient, gradient, gradient], table, exponents, int32(3)), out, table, exponents, int32(3), 1);
  assert.deepEqual([...out], [3 * MIN_DENORMAL, -9 * MIN_DENORMAL, 0]);
});

test('an all-zero tensor stays zero, and clears what was there', () => {
  const table = tableOf([2, 1]);
  const gradient = Float32Array.of(0, -0, 1);
  const exponents = tensorExponents(gradient, table, int32(1));
  assert.equal(exponents[0], ZERO_TENSOR);
  assert.equal(tensorExponents(gradient, table, int16(1))[0], ZERO_TENSOR);
  const sum = new Int32Array(3).fill(9);
  addFixedPoint(sum, gradient, table, exponents, int32(1), 'overwrite');
  const out = new Float32Array(3).fill(9);
  fromFixedPoint(sum, out, table, exponents, int32(1), 1);
  assert.deepEqual([...sum.subarray(0, 2), ...out], [0, 0, 0, 0, 1]);
});

test('a gradient above its agreed exponent is refused by name, and the sum is left untouched', () => {
  const table = tableOf([1, 1]);
  const sum = Int32Array.of(7, 7);
  const gradient = Float32Array.of(0.5, 1);
  assert.throws(
    () => addFixedPoint(sum, gradient, table, Int16Array.of(0, 0), int32(1)),
    codeOf('E_FIXEDPOINT_EXCEEDS', 'tensor1'),
  );
  assert.throws(
    () => addFixedPoint(sum, gradient, table, Int16Array.of(ZERO_TENSOR, 1), int32(1)),
    codeOf('E_FIXEDPOINT_EXCEEDS', 'tensor0'),
  );
  assert.deepEqual([...sum], [7, 7]);
});

test('a guessed exponent with headroom gives the sum on a coarser grid, up to the limits of exponents', () => {
  const gradient = Float32Array.of(1, -1);
  for (const exponent of [1, 8, 31]) {
    const sum = new Int32Array(2);
    addFixedPoint(sum, gradient, tableOf([2]), Int16Array.of(exponent), int32(1));
    assert.deepEqual(
      [...sum],
      [2 ** (30 - exponent), -(2 ** (30 - exponent))].map((x) => roundHalfEven(x) + 0),
    );
  }
  const far = new Int32Array(2).fill(1);
  addFixedPoint(far, gradient, tableOf([2]), Int16Array.of(512), int32(1), 'overwrite');
  assert.deepEqual([...far], [0, 0]);
  assert.throws(
    () => addFixedPoint(far, gradient, tableOf([2]), Int16Array.of(513), int32(1)),
    codeOf('E_FIXEDPOINT_ARGUMENT'),
  );
});

test('a mean that does not fit float32 becomes Infinity, as a float32 sum would', () => {
  const table = tableOf([1]);
  const gradient = Float32Array.of(MAX_FLOAT);
  const exponents = tensorExponents(gradient, table, int32(2));
  const out = new Float32Array(1);
  fromFixedPoint(sumOf([gradient, gradient], table, exponents, int32(2)), out, table, exponents, int32(2), 1);
  assert.equal(out[0], Infinity);
});

test('misfitting arrays, tables and counts are refused with their codes', () => {
  const table = tableOf([2]);
  const gradient = new Float32Array(2);
  const zero = Int16Array.of(ZERO_TENSOR);
  assert.throws(() => tensorExponents(new Float32Array(3), table, int32(1)), codeOf('E_FIXEDPOINT_SHAPE'));
  assert.throws(
    () => tensorExponents(gradient, [{ name: 'x', offset: 1, size: 1 }], int32(1)),
    codeOf('E_FIXEDPOINT_SHAPE', 'x'),
  );
  assert.throws(() => maxExponents(zero, new Int16Array(2)), codeOf('E_FIXEDPOINT_SHAPE'));
  assert.throws(() => addFixedPoint(new Int32Array(1), gradient, table, zero, int32(1)), codeOf('E_FIXEDPOINT_SHAPE'));
  assert.throws(
    () => addFixedPoint(new Int32Array(2), gradient, table, new Int16Array(2), int32(1)),
    codeOf('E_FIXEDPOINT_SHAPE'),
  );
  const counts = [0, -1, 1.5, NaN];
  for (const form of [...counts.map(int32), ...counts.map(int16), int32(2 ** 16 + 1), int16(2 ** 8 + 1)]) {
    assert.throws(() => addFixedPoint(new Int32Array(2), gradient, table, zero, form), codeOf('E_FIXEDPOINT_ARGUMENT'));
    assert.throws(() => tensorExponents(gradient, table, form), codeOf('E_FIXEDPOINT_ARGUMENT'));
  }
  assert.throws(
    () => fromFixedPoint(new Int32Array(2), gradient, table, zero, int32(1), Infinity),
    codeOf('E_FIXEDPOINT_ARGUMENT'),
  );
});
