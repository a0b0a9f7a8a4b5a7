import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draw, SPECIAL, denseStrides, places, product, ulpsOf } from './drawn.fixture.js';
import { floatsOf, intsOf, sameBits } from './one-instruction.fixture.js';
import type { TypedArray } from '#src/device/binding.js';

const SIZES = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 1000, 40_001];
const f = Math.fround;

function erf(x: number): number {
  // The series, whose terms are small enough to add up below 3.
  if (Math.abs(x) > 4) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
const roundHalfEven = (x: number): number => {
  const near = Math.round(x);
  const whole = Math.abs(x % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near;
  return whole === 0 && (x < 0 || Object.is(x, -0)) ? -0 : whole;
};

/** Each function with the error that it may have, in units in the last place of float32. */
const UNARY: Readonly<Record<string, readonly [(x: number) => number, number]>> = {
  neg: [(x) => -x, 0],
  abs: [Math.abs, 0],
  sign: [Math.sign, 0],
  square: [(x) => x * x, 0.5],
  reciprocal: [(x) => 1 / x, 0.5],
  sqrt: [Math.sqrt, 0.5],
  rsqrt: [(x) => 1 / Math.sqrt(x), 1.5],
  exp: [Math.exp, 1],
  expm1: [Math.expm1, 0.51],
  log: [Math.log, 0.51],
  log1p: [Math.log1p, 0.51],
  sin: [Math.sin, 0.51],
  cos: [Math.cos, 0.51],
  tanh: [Math.tanh, 0.51],
  sigmoid: [(x) => 1 / (1 + Math.exp(-x)), 2.5],
  relu: [(x) => (x < 0 ? 0 : x), 0],
  elu: [(x) => (x > 0 ? x : Math.expm1(x)), 0.51],
  softplus: [(x) => (x > 500 ? x : Math.log1p(Math.exp(x))), 0.51],
  floor: [Math.floor, 0],
  ceil: [Math.ceil, 0],
  round: [roundHalfEven, 0],
};

for (const [name, [reference, allowed]] of Object.entries(UNARY))
  test(`${name} errs by at most ${allowed} units in the last place, with infinities and NaN as in float64`, () => {
    const draw = new Draw(1);
    for (const size of SIZES) {
      const x = draw.wild(size, draw.of([1, 10, 80]));
      if (size >= SPECIAL.length) x.set(SPECIAL);
      const out = floatsOf(name, [0, 1, size], [x], size);
      const error = ulpsOf(out, Array.from(x, reference));
      assert.ok(error <= allowed, `${error} units for ${size} cells`);
    }
  });

test('erf errs by at most 0.51 units in the last place below 3, and is 1 from 4 on', () => {
  const x = new Draw(2).floats(2000, -3, 3);
  const out = floatsOf('erf', [0, 1, 2000], [x], 2000);
  // The series itself loses digits towards 3.
  x.forEach((one, index) => {
    if (Math.abs(one) < 1.5) assert.ok(ulpsOf(out.subarray(index, index + 1), [erf(one)]) <= 0.51, `${one}`);
    else assert.ok(Math.abs(out[index] - erf(one)) < 2 ** -23, `${one}`);
  });
  const special = Float32Array.of(4, -5, Infinity, -Infinity, NaN, -0);
  assert.ok(sameBits(floatsOf('erf', [0, 1, 6], [special], 6), Float32Array.of(1, -1, 1, -1, NaN, -0)));
});

test('sines of large angles are right', () => {
  // Of 2^100 and others, from 200 digits of pi.
  const angles = Float32Array.of(1e6, 16777216, 1e10, 2 ** 100, 3.4028234663852886e38, -(2 ** 50));
  const sines = floatsOf('sin', [0, 1, 6], [angles], 6);
  const cosines = floatsOf('cos', [0, 1, 6], [angles], 6);
  assert.ok(ulpsOf(sines, Array.from(angles, Math.sin)) <= 0.51);
  assert.ok(ulpsOf(cosines, Array.from(angles, Math.cos)) <= 0.51);
});

test('powers are those of float64, with all special cases', () => {
  const draw = new Draw(3);
  const [bases, exponents] = [SPECIAL.flatMap((x) => SPECIAL.map(() => x)), SPECIAL.flatMap(() => SPECIAL)];
  const a = Float32Array.from([...bases, ...draw.floats(500, 0, 5), ...draw.floats(100, -5, 5)]);
  const b = Float32Array.from([...exponents, ...draw.floats(500, -20, 20), ...draw.ints(100, -9, 9)]);
  const out = floatsOf('pow', [0, 1, 2, 1, a.length, 1, 1], [a, b], a.length);
  // C99 and tfjs have 1 where JavaScript's ** has NaN.
  const power = (x: number, y: number): number => (x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y);
  assert.ok(
    ulpsOf(
      out,
      Array.from(a, (x, index) => power(x, b[index])),
    ) <= 0.51,
  );
});

const FLOATS: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: (a, b) => (a > b || Number.isNaN(a) ? a : b),
  minimum: (a, b) => (a < b || Number.isNaN(a) ? a : b),
  squaredDifference: (a, b) => f(a - b) * f(a - b),
  reluGradient: (dy, x) => (x > 0 ? dy : Number.isNaN(x) ? NaN : 0),
  sigmoidGradient: (y, dy) => f(dy * y) * f(1 - y),
};
const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  less: (a, b) => a < b,
  lessEqual: (a, b) => a <= b,
  greater: (a, b) => a > b,
  greaterEqual: (a, b) => a >= b,
  equal: (a, b) => a === b,
  notEqual: (a, b) => a !== b,
};
const INTS: Readonly<Record<string, (a: number, b: number) => number>> = {
  addInt: (a, b) => a + b,
  subInt: (a, b) => a - b,
  mulInt: Math.imul,
  maximumInt: Math.max,
  minimumInt: Math.min,
};
const TRUTHS: Readonly<Record<string, (a: number, b: number) => number>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
};

type Draws = (draw: Draw, size: number) => TypedArray;
/** Runs `name` on drawn shapes and strides, and compares the bits. */
function compare(name: string, draws: Draws, reference: (a: number, b: number) => number, integers: boolean): void {
  const draw = new Draw(4);
  for (let repeat = 0; repeat < 25; repeat++) {
    const shape = draw.shape();
    const size = product(shape);
    const [left, right] = [draw.strides(shape), draw.strides(shape)];
    const [a, b] = [draws(draw, left.size), draws(draw, right.size)];
    const operands = [0, 1, 2, shape.length, ...shape, ...left.strides, ...right.strides];
    const out = integers ? intsOf(name, operands, [a, b], size) : floatsOf(name, operands, [a, b], size);
    const rights = places(shape, right.strides);
    const cells = places(shape, left.strides).map((place, index) => reference(a[place], b[rights[index]]));
    const expected = integers ? Int32Array.from(cells) : Float32Array.from(cells);
    assert.ok(
      sameBits(out, expected),
      `${name} of ${shape.join('x')}, strides ${left.strides.join()} and ${right.strides.join()}`,
    );
  }
}

test('functions of two floats are IEEE 754 operations of each pair, however the operands lie', () => {
  for (const [name, reference] of Object.entries(FLOATS))
    compare(name, (draw, size) => draw.wild(size), reference, false);
});

test('comparisons give truth values, and false of a NaN', () => {
  for (const [name, reference] of Object.entries(COMPARISONS)) {
    compare(
      name,
      (draw, size) => draw.wild(size, 2),
      (a, b) => Number(reference(a, b)),
      true,
    );
    compare(
      `${name}Int`,
      (draw, size) => draw.ints(size, -2, 2),
      (a, b) => Number(reference(a, b)),
      true,
    );
  }
});

test('whole numbers wrap around, and truth values are 0 or 1', () => {
  const [most, least] = [2 ** 31 - 1, -(2 ** 31)];
  for (const [name, reference] of Object.entries(INTS))
    compare(name, (draw, size) => draw.ints(size, least, most), reference, true);
  for (const [name, reference] of Object.entries(TRUTHS))
    compare(name, (draw, size) => draw.ints(size, 0, 1), reference, true);
});

test('the gradient of tanh is dy (1 - y^2)', () => {
  const draw = new Draw(5);
  const [y, dy] = [draw.floats(1001, -1, 1), draw.floats(1001)];
  const out = floatsOf('tanhGradient', [0, 1, 2, 1, 1001, 1, 1], [y, dy], 1001);
  assert.ok(
    ulpsOf(
      out,
      Array.from(y, (one, index) => dy[index] * (1 - one * one)),
    ) <= 1.5,
  );
});

test('select takes cells as they are, from either side', () => {
  const draw = new Draw(6);
  for (let repeat = 0; repeat < 40; repeat++) {
    const shape = draw.shape();
    const sides = [draw.strides(shape), draw.strides(shape), draw.strides(shape)];
    const condition = draw.ints(sides[0].size, 0, 1);
    const [a, b] = [draw.wild(sides[1].size), draw.wild(sides[2].size)];
    const operands = [0, 1, 2, 3, shape.length, ...shape, ...sides.flatMap(({ strides }) => strides)];
    const out = floatsOf('select', operands, [condition, a, b], product(shape));
    const [ofCondition, ofA, ofB] = sides.map(({ strides }) => places(shape, strides));
    const expected = ofCondition.map((place, index) => (condition[place] === 1 ? a[ofA[index]] : b[ofB[index]]));
    assert.ok(sameBits(out, Float32Array.from(expected)));
  }
});

test('an output may be one of the inputs: no cell is read after it is written', () => {
  const draw = new Draw(7);
  const shape = [5, 33];
  const x = draw.floats(165);
  const apart = floatsOf('mul', [0, 0, 1, 2, ...shape, ...denseStrides(shape), ...denseStrides(shape)], [x], 165);
  const squares = floatsOf('square', [0, 1, 165], [x], 165);
  assert.ok(sameBits(apart, squares));
});

test('conversions: to nearest, towards zero, to the nearest number that there is', () => {
  const draw = new Draw(8);
  const whole = draw.ints(1001, -(2 ** 31), 2 ** 31 - 1);
  assert.ok(sameBits(floatsOf('toFloat', [0, 1, 1001], [whole], 1001), Float32Array.from(whole)));
  const x = draw.wild(1001, 3e9);
  const held = Int32Array.from(x, (one) =>
    Number.isNaN(one) ? 0 : Math.trunc(Math.min(Math.max(one, -(2 ** 31)), 2 ** 31 - 1)),
  );
  assert.ok(sameBits(intsOf('toInt', [0, 1, 1001], [x], 1001), held));
  assert.ok(
    sameBits(
      intsOf('isNan', [0, 1, 1001], [x], 1001),
      Int32Array.from(x, (one) => Number(Number.isNaN(one))),
    ),
  );
  const truths = draw.ints(17, 0, 1);
  assert.ok(
    sameBits(
      intsOf('not', [0, 1, 17], [truths], 17),
      truths.map((one) => 1 - one),
    ),
  );
});
