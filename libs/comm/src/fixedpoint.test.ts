import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FixedPointError } from './errors.js';
import {
  MAX_SUMMANDS,
  NON_FINITE,
  ZERO_TENSOR,
  addFixedPoint,
  fromFixedPoint,
  maxExponents,
  tensorExponents,
} from './fixedpoint.js';
import type { ParameterSpans } from './fixedpoint.js';

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

/** The definition, in plain arithmetic: the smallest e with |g| < 2^e. */
function exponentByDefinition(values: readonly number[]): number {
  if (values.some((value) => !Number.isFinite(value))) return NON_FINITE;
  const largest = Math.max(0, ...values.map(Math.abs));
  if (largest === 0) return ZERO_TENSOR;
  let e = -148;
  while (largest >= 2 ** e) e++;
  return e;
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
/** Between 1 and 9 gradients of one network of 1 to 4 tensors. */
const step = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }).chain((sizes) => {
  const length = sizes.reduce((a, b) => a + b, 0);
  const gradient = fc
    .array(fc.oneof(anyFloat, fc.float({ min: -1, max: 1, noNaN: true })), { minLength: length, maxLength: length })
    .map((values) => Float32Array.from(values));
  return fc.record({
    table: fc.constant(tableOf(sizes)),
    gradients: fc.array(gradient, { minLength: 1, maxLength: 9 }),
  });
});

function agreed(gradients: readonly Float32Array[], table: ParameterSpans): Int16Array {
  return gradients.map((gradient) => tensorExponents(gradient, table)).reduce(maxExponents);
}

function sumOf(
  gradients: readonly Float32Array[],
  table: ParameterSpans,
  exponents: Int16Array,
  m: number,
): Int32Array {
  const sum = new Int32Array(gradients[0]?.length ?? 0);
  for (const gradient of gradients) addFixedPoint(sum, gradient, table, exponents, m);
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
      tensorExponents(Float32Array.of(0, value), tableOf([2]))[0],
      exponentByDefinition([0, value]),
      String(value),
    );
  }
  assert.deepEqual(
    [...tensorExponents(Float32Array.of(1, MIN_DENORMAL, MAX_FLOAT), tableOf([1, 1, 1]))],
    [1, -148, 128],
  );
});

test('each tensor has the exponent of its own elements only, wherever its offset falls', () => {
  fc.assert(
    fc.property(step, ({ table, gradients }) => {
      for (const gradient of gradients) {
        const expected = table.map(({ offset, size }) =>
          exponentByDefinition([...gradient.subarray(offset, offset + size)]),
        );
        assert.deepEqual([...tensorExponents(gradient, table)], expected);
      }
    }),
  );
});

test('a NaN or Inf anywhere makes its tensor NON_FINITE, survives the maximum, and names its tensor when it is summed', () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const table = tableOf([3, 7]);
    const gradient = new Float32Array(10).fill(1);
    gradient[9] = bad;
    const exponents = tensorExponents(gradient, table);
    assert.deepEqual([...exponents], [1, NON_FINITE]);
    assert.equal(maxExponents(exponents, Int16Array.of(100, 100))[1], NON_FINITE);
    assert.throws(
      () => addFixedPoint(new Int32Array(10), gradient, table, exponents, 2),
      codeOf('E_FIXEDPOINT_NON_FINITE', 'tensor1'),
    );
    assert.throws(
      () => addFixedPoint(new Int32Array(10), gradient, table, Int16Array.of(1, 1), 2),
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

test('any order of microbatches and any split over workers gives the same sum', () => {
  fc.assert(
    fc.property(step, fc.infiniteStream(fc.nat()), ({ table, gradients }, numbers) => {
      const m = gradients.length;
      const exponents = agreed(gradients, table);
      const expected = sumOf(gradients, table, exponents, m);
      const random = () => Number(numbers.next().value);
      const shuffled = gradients.map((gradient) => ({ gradient, key: random() })).sort((a, b) => a.key - b.key);
      const workers = 1 + (random() % 4);
      const shares = Array.from({ length: workers }, () => [] as Float32Array[]);
      for (const { gradient } of shuffled) shares[random() % workers].push(gradient);
      const total = new Int32Array(expected.length);
      for (const share of shares) {
        const part = sumOf(share, table, exponents, m);
        if (share.length > 0) for (let i = 0; i < total.length; i++) total[i] += part[i];
      }
      assert.deepEqual(total, expected);
    }),
  );
});

test('every element is the exact quotient rounded half to even', () => {
  fc.assert(
    fc.property(step, fc.integer({ min: 1, max: MAX_SUMMANDS }), ({ table, gradients: [gradient] }, m) => {
      const exponents = tensorExponents(gradient, table);
      const sum = new Int32Array(gradient.length).fill(-5);
      addFixedPoint(sum, gradient, table, exponents, m, 'overwrite');
      table.forEach(({ offset, size }, t) => {
        const quantum = 2 ** (exponents[t] - 30 + Math.ceil(Math.log2(m)));
        for (let i = offset; i < offset + size; i++) {
          // + 0 turns -0 into 0, which an int32 does not know.
          assert.equal(sum[i], exponents[t] === ZERO_TENSOR ? 0 : roundHalfEven(gradient[i] / quantum) + 0);
        }
      });
    }),
  );
});

test('ties go to the even neighbour', () => {
  // m = 2^16 and exponent 17 make the quantum 2^3.
  const gradient = Float32Array.of(4, 12, 20, -4, -12, -20, 2 ** 16);
  const sum = new Int32Array(7);
  addFixedPoint(sum, gradient, tableOf([7]), Int16Array.of(17), MAX_SUMMANDS);
  assert.deepEqual([...sum], [0, 2, 2, 0, -2, -2, 2 ** 13]);
});

test('overwriting the first microbatch equals adding it to zeros, whatever was there', () => {
  fc.assert(
    fc.property(step, ({ table, gradients: [gradient] }) => {
      const exponents = tensorExponents(gradient, table);
      const dirty = new Int32Array(gradient.length).fill(123_456_789);
      addFixedPoint(dirty, gradient, table, exponents, 3, 'overwrite');
      assert.deepEqual(dirty, sumOf([gradient], table, exponents, 3));
    }),
  );
});

test('the largest allowed gradients do not overflow for any number of microbatches', () => {
  for (const m of [1, 2, 3, 4, 5, 255, 256, 257]) {
    const gradient = Float32Array.of(MAX_FLOAT, -MAX_FLOAT);
    const table = tableOf([2]);
    const exponents = tensorExponents(gradient, table);
    const sum = new Int32Array(2);
    let expected = 0;
    for (let i = 0; i < m; i++) {
      addFixedPoint(sum, gradient, table, exponents, m);
      expected += roundHalfEven(MAX_FLOAT / 2 ** (128 - 30 + Math.ceil(Math.log2(m))));
    }
    assert.ok(expected <= 2 ** 30);
    assert.deepEqual([...sum], [expected, -expected]);
  }
});

test('the mean is within M * 2^-30 * 2^e (plus one float32 rounding) of the exact mean', () => {
  fc.assert(
    fc.property(step, ({ table, gradients }) => {
      const m = gradients.length;
      const exponents = agreed(gradients, table);
      const out = new Float32Array(gradients[0].length).fill(NaN);
      fromFixedPoint(sumOf(gradients, table, exponents, m), out, table, exponents, m, 1 / m);
      table.forEach(({ offset, size }, t) => {
        for (let i = offset; i < offset + size; i++) {
          const exact = gradients.reduce((a, gradient) => a + gradient[i], 0) / m;
          const bound = exponents[t] === ZERO_TENSOR ? 0 : m * 2 ** (exponents[t] - 30);
          const rounding = Math.abs(exact) * 2 ** -23 + MIN_DENORMAL;
          assert.ok(Math.abs(out[i] - exact) <= bound + rounding, `${out[i]} against ${exact}`);
        }
      });
    }),
  );
});

test('denormal gradients are summed exactly', () => {
  const table = tableOf([3]);
  const gradient = Float32Array.of(MIN_DENORMAL, -3 * MIN_DENORMAL, 0);
  const exponents = tensorExponents(gradient, table);
  const out = new Float32Array(3);
  fromFixedPoint(sumOf([gradient, gradient, gradient], table, exponents, 3), out, table, exponents, 3, 1);
  assert.deepEqual([...out], [3 * MIN_DENORMAL, -9 * MIN_DENORMAL, 0]);
});

test('an all-zero tensor stays zero, and clears what was there', () => {
  const table = tableOf([2, 1]);
  const gradient = Float32Array.of(0, -0, 1);
  const exponents = tensorExponents(gradient, table);
  assert.equal(exponents[0], ZERO_TENSOR);
  const sum = new Int32Array(3).fill(9);
  addFixedPoint(sum, gradient, table, exponents, 1, 'overwrite');
  const out = new Float32Array(3).fill(9);
  fromFixedPoint(sum, out, table, exponents, 1, 1);
  assert.deepEqual([...sum.subarray(0, 2), ...out], [0, 0, 0, 0, 1]);
});

test('a gradient above its agreed exponent is refused by name, and the sum is left untouched', () => {
  const table = tableOf([1, 1]);
  const sum = Int32Array.of(7, 7);
  const gradient = Float32Array.of(0.5, 1);
  assert.throws(
    () => addFixedPoint(sum, gradient, table, Int16Array.of(0, 0), 1),
    codeOf('E_FIXEDPOINT_EXCEEDS', 'tensor1'),
  );
  assert.throws(
    () => addFixedPoint(sum, gradient, table, Int16Array.of(ZERO_TENSOR, 1), 1),
    codeOf('E_FIXEDPOINT_EXCEEDS', 'tensor0'),
  );
  assert.deepEqual([...sum], [7, 7]);
});

test('a guessed exponent with headroom gives the sum on a coarser grid, up to the limits of exponents', () => {
  const gradient = Float32Array.of(1, -1);
  for (const exponent of [1, 8, 31]) {
    const sum = new Int32Array(2);
    addFixedPoint(sum, gradient, tableOf([2]), Int16Array.of(exponent), 1);
    assert.deepEqual(
      [...sum],
      [2 ** (30 - exponent), -(2 ** (30 - exponent))].map((x) => roundHalfEven(x) + 0),
    );
  }
  const far = new Int32Array(2).fill(1);
  addFixedPoint(far, gradient, tableOf([2]), Int16Array.of(512), 1, 'overwrite');
  assert.deepEqual([...far], [0, 0]);
  assert.throws(
    () => addFixedPoint(far, gradient, tableOf([2]), Int16Array.of(513), 1),
    codeOf('E_FIXEDPOINT_ARGUMENT'),
  );
});

test('a mean that does not fit float32 becomes Infinity, as a float32 sum would', () => {
  const table = tableOf([1]);
  const gradient = Float32Array.of(MAX_FLOAT);
  const exponents = tensorExponents(gradient, table);
  const out = new Float32Array(1);
  fromFixedPoint(sumOf([gradient, gradient], table, exponents, 2), out, table, exponents, 2, 1);
  assert.equal(out[0], Infinity);
});

test('misfitting arrays, tables and counts are refused with their codes', () => {
  const table = tableOf([2]);
  const gradient = new Float32Array(2);
  const zero = Int16Array.of(ZERO_TENSOR);
  assert.throws(() => tensorExponents(new Float32Array(3), table), codeOf('E_FIXEDPOINT_SHAPE'));
  assert.throws(
    () => tensorExponents(gradient, [{ name: 'x', offset: 1, size: 1 }]),
    codeOf('E_FIXEDPOINT_SHAPE', 'x'),
  );
  assert.throws(() => maxExponents(zero, new Int16Array(2)), codeOf('E_FIXEDPOINT_SHAPE'));
  assert.throws(() => addFixedPoint(new Int32Array(1), gradient, table, zero, 1), codeOf('E_FIXEDPOINT_SHAPE'));
  assert.throws(
    () => addFixedPoint(new Int32Array(2), gradient, table, new Int16Array(2), 1),
    codeOf('E_FIXEDPOINT_SHAPE'),
  );
  for (const m of [0, -1, 1.5, NaN, MAX_SUMMANDS + 1]) {
    assert.throws(() => addFixedPoint(new Int32Array(2), gradient, table, zero, m), codeOf('E_FIXEDPOINT_ARGUMENT'));
  }
  assert.throws(
    () => fromFixedPoint(new Int32Array(2), gradient, table, zero, 1, Infinity),
    codeOf('E_FIXEDPOINT_ARGUMENT'),
  );
});
