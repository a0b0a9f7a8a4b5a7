import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draw } from './drawn.fixture.js';
import { bitsOf, floats, floatsOf, runKernel } from './one-instruction.fixture.js';

const EPSILON = Math.fround(1e-5);
/** n pixels channels groups. */
const SHAPES = [
  [1, 1, 4, 2],
  [3, 7, 6, 3],
  [2, 196, 32, 8],
  [2, 49, 64, 8],
  [1, 600, 40, 8],
  [2, 5, 24, 24],
  [1, 3, 10, 1],
  [2, 700, 5, 1],
  [1, 2, 300, 1],
  [300, 2, 3, 1],
];

type Given = {
  readonly x: Float32Array;
  readonly offset: Float32Array;
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly dz: Float32Array;
};

function given([n, pixels, channels]: readonly number[], seed: number): Given {
  const draw = new Draw(seed);
  const level = draw.floats(channels);
  return {
    x: draw.floats(n * pixels * channels).map((value, cell) => value + level[cell % channels]),
    offset: draw.floats(n * channels, -1, 1),
    gamma: draw.floats(channels, 0.5, 1.5),
    beta: draw.floats(channels, -1, 1),
    dz: draw.floats(n * pixels * channels),
  };
}

/** In float64: normalised values, what follows them, and gradients by the textbook. */
function reference(
  [n, pixels, channels, groups]: readonly number[],
  { x, offset, gamma, beta, dz }: Given,
  silu: boolean,
) {
  const c = channels / groups;
  const cells = n * pixels * channels;
  const image = (cell: number): number => Math.floor(cell / pixels / channels);
  const groupOf = (cell: number): number => image(cell) * groups + Math.floor((cell % channels) / c);
  const meanBy = (value: (cell: number) => number): Float64Array => {
    const sums = new Float64Array(n * groups);
    for (let cell = 0; cell < cells; cell++) sums[groupOf(cell)] += value(cell);
    return sums.map((sum) => sum / (pixels * c));
  };
  const h = Float64Array.from(x, (value, cell) => value + offset[image(cell) * channels + (cell % channels)]);
  const mean = meanBy((cell) => h[cell]);
  const variance = meanBy((cell) => (h[cell] - mean[groupOf(cell)]) ** 2);
  const inverse = variance.map((one) => 1 / Math.sqrt(one + EPSILON));
  const hat = h.map((value, cell) => (value - mean[groupOf(cell)]) * inverse[groupOf(cell)]);
  const y = hat.map((value, cell) => value * gamma[cell % channels] + beta[cell % channels]);
  const s = y.map((value) => 1 / (1 + Math.exp(-value)));
  const dy = y.map((value, cell) => dz[cell] * (silu ? s[cell] * (1 + value * (1 - s[cell])) : 1));
  const dhat = dy.map((value, cell) => value * gamma[cell % channels]);
  const [level, slope] = [meanBy((cell) => dhat[cell]), meanBy((cell) => dhat[cell] * hat[cell])];
  const dx = dhat.map(
    (value, cell) => inverse[groupOf(cell)] * (value - level[groupOf(cell)] - hat[cell] * slope[groupOf(cell)]),
  );
  const [doffset, dgamma, dbeta] = [
    new Float64Array(n * channels),
    new Float64Array(channels),
    new Float64Array(channels),
  ];
  for (let cell = 0; cell < cells; cell++) {
    const channel = cell % channels;
    doffset[image(cell) * channels + channel] += dx[cell];
    dgamma[channel] += dy[cell] * hat[cell];
    dbeta[channel] += dy[cell];
  }
  return { z: silu ? y.map((value, cell) => value * s[cell]) : y, dx, doffset, dgamma, dbeta, inverse };
}

/** Relative to the largest; `scale` where what is compared is a difference of larger numbers. */
function assertNear(
  actual: ArrayLike<number>,
  expected: Float64Array,
  tolerance: number,
  label: string,
  scale = 0,
): void {
  const most = expected.reduce((max, value) => Math.max(max, Math.abs(value)), scale);
  const error = expected.reduce((max, value, index) => Math.max(max, Math.abs(value - actual[index])), 0);
  assert.ok(error <= tolerance * most, `${label} errs by ${error} of ${most}`);
}

for (const silu of [false, true])
  test(`group norm ${silu ? 'with' : 'without'} SiLU and its gradient are those of float64, but for rounding`, () => {
    for (const shape of SHAPES) {
      const [n, pixels, channels] = shape;
      const numbers = given(shape, 41);
      const { x, offset, gamma, beta, dz } = numbers;
      const rest = [...shape, bitsOf(EPSILON), Number(silu)];
      const cells = n * pixels * channels;
      const [z, statistics] = runKernel(
        'groupNorm',
        [0, 1, 2, 3, 4, 5, ...rest],
        [x, offset, gamma, beta],
        [floats(cells), floats(3 * n * channels)],
      );
      const expected = reference(shape, numbers, silu);
      const label = shape.join();
      assertNear(z, expected.z, 1e-6, `z of ${label}`);
      const operands = [0, 1, 2, 3, 4, 5, 6, 7, 8, ...rest];
      const outputs = [cells, n * channels, channels, channels].map(floats);
      const [dx, doffset, dgamma, dbeta] = runKernel(
        'groupNormGradient',
        operands,
        [dz, x, statistics, gamma, beta],
        outputs,
      );
      // What dx is a difference of: where a group has one or two cells nothing is left.
      const scale = Math.max(...dz.map(Math.abs));
      const terms = scale * Math.max(...gamma) * Math.max(...expected.inverse);
      assertNear(dx, expected.dx, 2e-6, `dx of ${label}`, terms);
      assertNear(doffset, expected.doffset, 2e-6, `doffset of ${label}`, terms * Math.sqrt(pixels));
      assertNear(dgamma, expected.dgamma, 2e-6, `dgamma of ${label}`, scale);
      assertNear(dbeta, expected.dbeta, 2e-6, `dbeta of ${label}`, scale);
    }
  });

test('without an offset group norm is that with an offset of zeros', () => {
  const shape = [2, 30, 12, 3];
  const { x, gamma, beta, dz } = given(shape, 42);
  const rest = [...shape, bitsOf(EPSILON), 1];
  const outputs = [floats(x.length), floats(72)];
  const zeros = runKernel('groupNorm', [0, 1, 2, 3, 4, 5, ...rest], [x, new Float32Array(24), gamma, beta], outputs);
  const without = runKernel('groupNorm', [0, -1, 1, 2, 3, 4, ...rest], [x, gamma, beta], outputs);
  assert.deepEqual(without, zeros);
  const gradients = runKernel(
    'groupNormGradient',
    [0, 1, 2, 3, 4, 5, -1, 6, 7, ...rest],
    [dz, x, without[1], gamma, beta],
    [floats(x.length), floats(12), floats(12)],
  );
  const all = runKernel(
    'groupNormGradient',
    [0, 1, 2, 3, 4, 5, 6, 7, 8, ...rest],
    [dz, x, without[1], gamma, beta],
    [x.length, 24, 12, 12].map(floats),
  );
  assert.deepEqual(gradients, [all[0], all[2], all[3]]);
});

test('a NaN spoils its own group of its own image', () => {
  const x = new Draw(43).floats(40);
  x[9] = NaN;
  const ones = new Float32Array(4).fill(1);
  const [z] = runKernel(
    'groupNorm',
    [0, -1, 1, 2, 3, 4, 2, 5, 4, 2, bitsOf(EPSILON), 1],
    [x, ones, ones],
    [floats(40), floats(24)],
  );
  z.forEach((value, cell) => assert.equal(Number.isNaN(value), cell < 20 && cell % 4 < 2));
});

test('softmax is that of float64, but for the rounding of x - max', () => {
  const draw = new Draw(44);
  for (const [rows, columns] of [
    [1, 1],
    [3, 10],
    [49, 49],
    [8, 196],
    [17, 300],
    [2, 5000],
    [9, 16],
    [300, 7],
  ]) {
    const x = draw.floats(rows * columns, -8, 8);
    if (columns > 3) x[1] = -Infinity;
    const out = floatsOf('softmax', [0, 1, rows, columns], [x], x.length);
    for (let row = 0; row < rows; row++) {
      const own = Array.from(x.subarray(row * columns, (row + 1) * columns));
      const powers = own.map((value) => Math.exp(value - Math.max(...own)));
      const sum = powers.reduce((total, power) => total + power, 0);
      powers.forEach((power, column) => {
        const [want, value] = [power / sum, out[row * columns + column]];
        // Half a unit of x - max, which may be 16, and five of what follows.
        assert.ok(Math.abs(value - want) <= want * 16 * 2 ** -24 + want * 5 * 2 ** -24, `${value}, not ${want}`);
      });
    }
  }
});

test('softmax of a row with a NaN is NaN, and of the others is not', () => {
  const out = floatsOf('softmax', [0, 1, 2, 3], [Float32Array.of(1, NaN, 2, 1, 2, 3)], 6);
  assert.deepEqual(Array.from(out, Number.isNaN), [true, true, true, false, false, false]);
});
