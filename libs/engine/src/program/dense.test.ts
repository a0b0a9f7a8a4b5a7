import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draw } from './drawn.fixture.js';
import { floats, floatsOf, runKernel } from './one-instruction.fixture.js';
import {
  assertNear,
  conv3x3,
  convOperands,
  convolveExactly,
  exactly,
  fma,
  placeInInput,
  placeInOutput,
  productsByRule,
  taps,
  type Conv,
  type Term,
} from './products.fixture.js';
import { sumByRule } from './sums.fixture.js';

const f = Math.fround;
const LEFT_OUT = -1;
/** Cells of an output that are computed again by the rule. */
const SAMPLES = 12;
/** Root mean square of the relative error that products may have against float64, and Winograd's transforms. */
const PRODUCTS = 2e-6;
const TRANSFORMED = 6e-6;

const sampled = (draw: Draw, size: number): number[] => Array.from({ length: SAMPLES }, () => draw.whole(0, size - 1));
const range = (length: number): number[] => Array.from({ length }, (_, index) => index);

test("the tests' own multiply-add rounds once", () => {
  const [a, b] = [f(1 + 2 ** -12), f(1 - 2 ** -12)];
  assert.equal(fma(a, b, -1), -(2 ** -24));
  // In float64 the sum is a tie of float32's, which rounding it twice decides wrongly.
  assert.equal(fma(f(1 + 2 ** -23), f(1 + 2 ** -23), f(2 ** -24 - 2 ** -48)), f(1 + 3 * 2 ** -23));
  assert.equal(fma(3, 5, 7), 22);
});

type Matmul = {
  readonly sizes: readonly [batch: number, M: number, N: number, K: number];
  readonly turned: readonly [boolean, boolean];
  /** One right matrix for the whole batch. */
  readonly shared: boolean;
  readonly biased: boolean;
};

function checkMatmul(draw: Draw, { sizes: [batch, M, N, K], turned: [turnA, turnB], shared, biased }: Matmul): void {
  const [a, b, bias] = [draw.floats(batch * M * K), draw.floats((shared ? 1 : batch) * K * N), draw.floats(N)];
  const sizes = [batch, M, N, K, Number(turnA), Number(turnB), M * K, shared ? 0 : K * N];
  const out = floatsOf('matmul', [0, 1, biased ? 2 : LEFT_OUT, 3, ...sizes], [a, b, bias], batch * M * N);
  const terms = (cell: number): Term[] => {
    const [matrix, row, column] = [Math.floor(cell / (M * N)), Math.floor(cell / N) % M, cell % N];
    const right = shared ? 0 : matrix * K * N;
    return range(K).map((k) => [
      a[matrix * M * K + (turnA ? k * M + row : row * K + k)],
      b[right + (turnB ? column * K + k : k * N + column)],
    ]);
  };
  const added = (cell: number): number => (biased ? bias[cell % N] : 0);
  const label = `matmul ${sizes.join()}`;
  if (K <= 1000)
    assertNear(
      out,
      range(out.length).map((cell) => exactly(terms(cell)) + added(cell)),
      PRODUCTS,
      label,
    );
  for (const cell of sampled(draw, out.length)) {
    const sum = productsByRule(terms(cell));
    assert.equal(out[cell], biased ? f(sum + added(cell)) : sum, `${label}: cell ${cell}`);
  }
}

test('a product of matrices is its rule: drawn sizes, turned, in batches, with a bias', () => {
  const draw = new Draw(14);
  const chosen: [number, number, number, number][] = [
    [1, 1, 1, 1],
    [1, 8, 128, 32],
    [1, 100, 33, 600],
    [1, 2, 3, 66_000],
    [1, 1, 2, 65_536],
  ];
  for (const sizes of chosen)
    for (const turnA of [false, true])
      checkMatmul(draw, { sizes, turned: [turnA, !turnA], shared: false, biased: turnA });
  for (let repeat = 0; repeat < 25; repeat++)
    checkMatmul(draw, {
      sizes: [draw.whole(1, 3), draw.whole(1, 60), draw.whole(1, 60), draw.whole(1, repeat % 5 === 0 ? 700 : 60)],
      turned: [draw.of([false, true]), draw.of([false, true])],
      shared: draw.of([false, true]),
      biased: draw.of([false, true]),
    });
});

function checkConv(draw: Draw, c: Conv, biased: boolean): void {
  const pixels = c.n * c.oh * c.ow;
  const [x, filter] = [draw.floats(c.n * c.h * c.w * c.input), draw.floats(taps(c).length * c.input * c.co)];
  const [dy, bias, back] = [draw.floats(pixels * c.co), draw.floats(c.co), draw.floats(c.input)];
  const operands = [0, 1, biased ? 2 : LEFT_OUT, 3, ...convOperands(c)];
  const y = floatsOf('conv2d', operands, [x, filter, bias], dy.length);
  const dx = floatsOf('conv2dInputGradient', operands, [dy, filter, back], x.length);
  const dfilter = floatsOf('conv2dFilterGradient', [0, 1, 2, ...convOperands(c)], [x, dy], filter.length);
  const exact = convolveExactly(c, x, filter, dy);
  const label = `conv2d ${convOperands(c).join()}`;
  const plus = (values: Float64Array, added: Float32Array): Float64Array =>
    values.map((value, index) => value + (biased ? added[index % added.length] : 0));
  assertNear(y, plus(exact.y, bias), PRODUCTS, label);
  assertNear(dx, plus(exact.dx, back), PRODUCTS, `${label}, by the input`);
  assertNear(dfilter, exact.dfilter, PRODUCTS, `${label}, by the filter`);
  const weight = (tap: number, i: number, o: number): number => filter[(tap * c.input + i) * c.co + o];
  const withBias = (sum: number, added: number): number => (biased ? f(sum + added) : sum);
  for (const cell of sampled(draw, y.length)) {
    const [pixel, o] = [Math.floor(cell / c.co), cell % c.co];
    const [image, oy, ox] = [Math.floor(pixel / (c.oh * c.ow)), Math.floor(pixel / c.ow) % c.oh, pixel % c.ow];
    const terms = taps(c).flatMap((tap, index) => {
      const from = placeInInput(c, image, oy, ox, tap);
      return range(c.input).map((i): Term => [from < 0 ? 0 : x[from + i], weight(index, i, o)]);
    });
    assert.equal(y[cell], withBias(productsByRule(terms), bias[o]), `${label}: cell ${cell}`);
  }
  for (const cell of sampled(draw, dx.length)) {
    const [pixel, i] = [Math.floor(cell / c.input), cell % c.input];
    const [image, row, column] = [Math.floor(pixel / (c.h * c.w)), Math.floor(pixel / c.w) % c.h, pixel % c.w];
    const terms = taps(c).flatMap((tap, index) => {
      const from = placeInOutput(c, image, row, column, tap);
      return range(c.co).map((o): Term => (from === null ? null : [from < 0 ? 0 : dy[from + o], weight(index, i, o)]));
    });
    assert.equal(dx[cell], withBias(productsByRule(terms), back[i]), `${label}: cell ${cell} of its input's gradient`);
  }
  for (const cell of sampled(draw, dfilter.length)) {
    const [o, i, tap] = [cell % c.co, Math.floor(cell / c.co) % c.input, Math.floor(cell / c.co / c.input)];
    const terms = range(pixels).map((pixel): Term => {
      const [image, oy, ox] = [Math.floor(pixel / (c.oh * c.ow)), Math.floor(pixel / c.ow) % c.oh, pixel % c.ow];
      const from = placeInInput(c, image, oy, ox, taps(c)[tap]);
      return [from < 0 ? 0 : x[from + i], dy[pixel * c.co + o]];
    });
    assert.equal(dfilter[cell], productsByRule(terms), `${label}: cell ${cell} of its filter's gradient`);
  }
}

/** With the padding that tensor libraries call same, or none. */
function drawConv(draw: Draw, channels: () => number): Conv {
  const [h, w] = [draw.whole(1, 11), draw.whole(1, 11)];
  const pair = (most: number): [number, number] => [draw.whole(1, most), draw.whole(1, most)];
  const [window, stride, dilation] = [pair(4), pair(3), pair(2)];
  const reach = window.map((size, axis) => (size - 1) * dilation[axis] + 1);
  const same = draw.uniform() < 0.5 || h < reach[0] || w < reach[1];
  const places = [h, w].map((size, axis) =>
    same ? Math.ceil(size / stride[axis]) : Math.floor((size - reach[axis]) / stride[axis]) + 1,
  );
  const before = (size: number, axis: number): number =>
    same ? Math.max((places[axis] - 1) * stride[axis] + reach[axis] - size, 0) >> 1 : 0;
  const pad: [number, number] = [before(h, 0), before(w, 1)];
  return {
    ...{ n: draw.whole(1, 3), h, w, input: channels(), window, stride, pad, dilation },
    ...{ oh: places[0], ow: places[1], co: channels() },
  };
}

test('a convolution and its gradients are their rules: drawn windows, strides, paddings, dilations and channels', () => {
  const draw = new Draw(15);
  const plain = { window: [3, 3], stride: [1, 1], pad: [1, 1], dilation: [1, 1] } as const;
  const one = { window: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1] } as const;
  const chosen: Conv[] = [
    { ...one, n: 1, h: 1, w: 1, input: 1, oh: 1, ow: 1, co: 1 },
    { ...one, n: 2, h: 9, w: 9, input: 300, oh: 9, ow: 9, co: 20 },
    { ...one, n: 1, h: 260, w: 260, input: 1, oh: 260, ow: 260, co: 9 },
    { ...one, n: 1, h: 260, w: 260, input: 9, oh: 260, ow: 260, co: 1 },
    { ...plain, n: 2, h: 12, w: 37, input: 32, oh: 12, ow: 37, co: 1 },
    { ...plain, n: 2, h: 12, w: 37, input: 3, oh: 12, ow: 37, co: 3 },
    { ...plain, n: 2, h: 12, w: 37, input: 1, oh: 12, ow: 37, co: 32 },
    { ...plain, n: 2, h: 14, w: 14, input: 32, stride: [2, 2], pad: [0, 0], oh: 7, ow: 7, co: 40 },
  ];
  for (const conv of chosen) checkConv(draw, conv, true);
  for (let repeat = 0; repeat < 30; repeat++) {
    const most = draw.of([4, 20, 70]);
    checkConv(
      draw,
      drawConv(draw, () => draw.whole(1, most)),
      draw.of([false, true]),
    );
  }
});

/** x [n, h / 2, w / 2, channels] with each pixel for two by two. */
function doubledPixels(x: Float32Array, h: number, w: number, channels: number): Float32Array {
  const cells = range(x.length * 4).map((cell) => {
    const [c, pixel] = [cell % channels, Math.floor(cell / channels)];
    const [column, row, image] = [pixel % w, Math.floor(pixel / w) % h, Math.floor(pixel / w / h)];
    return x[((image * (h / 2) + (row >> 1)) * (w / 2) + (column >> 1)) * channels + c];
  });
  return Float32Array.from(cells);
}

/** The transpose of doubledPixels. */
function pooledSums(dx: Float64Array, h: number, w: number, channels: number): Float64Array {
  const sums = new Float64Array(dx.length / 4);
  dx.forEach((value, cell) => {
    const [c, pixel] = [cell % channels, Math.floor(cell / channels)];
    const [column, row, image] = [pixel % w, Math.floor(pixel / w) % h, Math.floor(pixel / w / h)];
    sums[((image * (h / 2) + (row >> 1)) * (w / 2) + (column >> 1)) * channels + c] += value;
  });
  return sums;
}

type Winograd = readonly [n: number, h: number, w: number, input: number, co: number];

function checkConv3x3(draw: Draw, [n, h, w, input, co]: Winograd, doubled: boolean, added: boolean): void {
  const shrink = doubled ? 4 : 1;
  const [x, filter] = [draw.floats((n * h * w * input) / shrink), draw.floats(9 * input * co)];
  const [dy, bias, residual] = [draw.floats(n * h * w * co), draw.floats(co), draw.floats(n * h * w * co)];
  const sizes = [n, h, w, input, co, Number(doubled)];
  const given = added ? [0, 1, 2, 3, 4] : [0, 1, LEFT_OUT, LEFT_OUT, 4];
  const y = floatsOf('conv3x3', [...given, ...sizes], [x, filter, bias, residual], dy.length);
  const dx = floatsOf('conv3x3InputGradient', [0, 1, 2, ...sizes], [dy, filter], x.length);
  const outputs = [floats(filter.length), floats(co)];
  const [dfilter, dbias] = runKernel('conv3x3FilterGradient', [0, 1, 2, 3, ...sizes], [x, dy], outputs);
  const seen = doubled ? doubledPixels(x, h, w, input) : x;
  const exact = convolveExactly(conv3x3(n, h, w, input, co), seen, filter, dy);
  const label = `conv3x3 ${sizes.join()}`;
  const expected = exact.y.map((value, cell) => value + (added ? bias[cell % co] + residual[cell] : 0));
  assertNear(y, expected, TRANSFORMED, label);
  const down = doubled ? pooledSums(exact.dx, h, w, input) : exact.dx;
  assertNear(dx, down, TRANSFORMED, `${label}, by the input`);
  assert.ok(dfilter instanceof Float32Array && dbias instanceof Float32Array);
  assertNear(dfilter, exact.dfilter, TRANSFORMED, `${label}, by the filter`);
  dbias.forEach((sum, o) => {
    const numbers = range(n * h * w).map((pixel) => dy[pixel * co + o]);
    assert.equal(sum, sumByRule(numbers), `${label}, by the bias of channel ${o}`);
  });
}

test('a convolution of 3x3 by transforms, and its gradients, are near float64 and the same everywhere', () => {
  const draw = new Draw(16);
  const chosen: Winograd[] = [
    [1, 1, 1, 1, 1],
    [2, 7, 7, 64, 64],
    [3, 28, 28, 3, 5],
    [1, 5, 7, 520, 20],
    [55, 12, 12, 2, 3],
  ];
  for (const shape of chosen) checkConv3x3(draw, shape, false, true);
  // More than 256 chains of tiles.
  checkConv3x3(draw, [1400, 9, 9, 1, 2], false, false);
  for (let repeat = 0; repeat < 25; repeat++) {
    const doubled = draw.of([false, true]);
    const side = (): number => draw.whole(1, doubled ? 8 : 15) * (doubled ? 2 : 1);
    const shape: Winograd = [draw.whole(1, 3), side(), side(), draw.whole(1, 40), draw.whole(1, 40)];
    checkConv3x3(draw, shape, doubled, draw.of([false, true]));
  }
});

test('infinity and NaN reach every sum that they are part of, and no other image', () => {
  const draw = new Draw(17);
  for (const special of [Infinity, NaN]) {
    const a = draw.floats(3 * 40);
    a[40 + 7] = special;
    const product = floatsOf('matmul', [0, 1, LEFT_OUT, 2, 1, 3, 5, 40, 0, 0, 0, 0], [a, draw.floats(200)], 15);
    product.forEach((value, cell) => assert.equal(Number.isFinite(value), Math.floor(cell / 5) !== 1));
    const x = draw.floats(2 * 36 * 3);
    x[(36 + 14) * 3] = special;
    const filter = draw.floats(9 * 3 * 4);
    const y = floatsOf('conv3x3', [0, 1, LEFT_OUT, LEFT_OUT, 2, 2, 6, 6, 3, 4, 0], [x, filter], 2 * 36 * 4);
    const image = conv3x3(2, 6, 6, 3, 4);
    const direct = floatsOf('conv2d', [0, 1, LEFT_OUT, 2, ...convOperands(image)], [x, filter], 2 * 36 * 4);
    const near = (pixel: number): boolean => Math.abs((pixel % 6) - 2) < 2 && Math.abs(Math.floor(pixel / 6) - 2) < 2;
    range(2 * 36 * 4).forEach((cell) => {
      const [pixel, own] = [Math.floor(cell / 4) % 36, cell < 36 * 4];
      assert.equal(Number.isFinite(direct[cell]), own || !near(pixel));
      // Transforms spread it over the tiles that see it.
      if (own || near(pixel)) assert.equal(Number.isFinite(y[cell]), own);
    });
  }
});
