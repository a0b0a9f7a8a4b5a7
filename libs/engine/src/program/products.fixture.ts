/** The rules of products and convolutions of docs/internals/numerics.md, written a second time, and their sums in float64. */
import assert from 'node:assert/strict';
import { sumByRule } from './sums.fixture.js';

const bits = new DataView(new ArrayBuffer(8));

/** a b + c of float32, rounded once: the sum in float64 is rounded to odd, so that rounding it again does not show (Boldo, Melquiond 2008). */
export function fma(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const back = sum - product;
  const error = product - (sum - back) + (c - back);
  if (error === 0 || !Number.isFinite(sum)) return Math.fround(sum);
  bits.setFloat64(0, sum);
  const whole = bits.getBigInt64(0);
  // Even, and so to be moved by one towards what was lost.
  if ((whole & 1n) === 0n) bits.setBigInt64(0, error > 0 === sum > 0 ? whole + 1n : whole - 1n);
  return Math.fround(bits.getFloat64(0));
}

/** One product of a sum; null where there is none that counts, though it has its place in a chain. */
export type Term = readonly [a: number, b: number] | null;

/** Chains of `chain` fused multiply-adds from 0, and the rule of sums over the chains' results where there are several. */
export function productsByRule(terms: readonly Term[], chain = 256): number {
  const chains: number[] = [];
  for (let first = 0; first < terms.length; first += chain) {
    let sum = 0;
    for (const term of terms.slice(first, first + chain)) if (term !== null) sum = fma(term[0], term[1], sum);
    chains.push(sum);
  }
  return chains.length === 1 ? chains[0] : sumByRule(chains);
}

export const exactly = (terms: readonly Term[]): number =>
  terms.reduce((sum, term) => sum + (term === null ? 0 : term[0] * term[1]), 0);

/** Root mean square of the error, relative to that of what is expected. */
export function assertNear(actual: Float32Array, expected: ArrayLike<number>, bound: number, label: string): void {
  let [error, size] = [0, 0];
  actual.forEach((value, index) => {
    error += (value - expected[index]) ** 2;
    size += expected[index] ** 2;
  });
  const relative = size === 0 ? Math.sqrt(error) : Math.sqrt(error / size);
  assert.ok(relative < bound, `${label}: a relative error of ${relative}`);
}

/** The operands n h w in, kh kw, strideH strideW, padTop padLeft, dilationH dilationW, oh ow co. */
export type Conv = {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly input: number;
  readonly window: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly pad: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly oh: number;
  readonly ow: number;
  readonly co: number;
};

export const convOperands = (c: Conv): number[] => [
  ...[c.n, c.h, c.w, c.input, ...c.window, ...c.stride, ...c.pad, ...c.dilation, c.oh, c.ow, c.co],
];

/** All (ky, kx) in row-major order. */
export const taps = ({ window: [kh, kw] }: Conv): [number, number][] =>
  Array.from({ length: kh * kw }, (_, tap) => [Math.floor(tap / kw), tap % kw]);

/** The place of a tap of an output pixel in x, or -1 beyond the edge. */
export function placeInInput(c: Conv, image: number, oy: number, ox: number, [ky, kx]: [number, number]): number {
  const y = oy * c.stride[0] - c.pad[0] + ky * c.dilation[0];
  const x = ox * c.stride[1] - c.pad[1] + kx * c.dilation[1];
  return y < 0 || y >= c.h || x < 0 || x >= c.w ? -1 : ((image * c.h + y) * c.w + x) * c.input;
}

/** The place in dy that meets a pixel of x through a tap: -1 beyond the edge, null where the stride leaves it out. */
export function placeInOutput(c: Conv, image: number, y: number, x: number, [ky, kx]: [number, number]): number | null {
  const [up, left] = [y + c.pad[0] - ky * c.dilation[0], x + c.pad[1] - kx * c.dilation[1]];
  if (up % c.stride[0] !== 0 || left % c.stride[1] !== 0) return null;
  const [oy, ox] = [up / c.stride[0], left / c.stride[1]];
  return oy < 0 || oy >= c.oh || ox < 0 || ox >= c.ow ? -1 : ((image * c.oh + oy) * c.ow + ox) * c.co;
}

/** A convolution of 3x3, stride 1 and padding 1 of x [n, h, w, in], or of x doubled along both axes. */
export const conv3x3 = (n: number, h: number, w: number, input: number, co: number): Conv => ({
  ...{ n, h, w, input, co, oh: h, ow: w, window: [3, 3], stride: [1, 1], pad: [1, 1], dilation: [1, 1] },
});

type Sums = { readonly y: Float64Array; readonly dx: Float64Array; readonly dfilter: Float64Array };

/** A convolution and its gradients in float64. */
export function convolveExactly(c: Conv, x: ArrayLike<number>, filter: ArrayLike<number>, dy: ArrayLike<number>): Sums {
  const [y, dx, dfilter] = [new Float64Array(dy.length), new Float64Array(x.length), new Float64Array(filter.length)];
  for (let pixel = 0; pixel < c.n * c.oh * c.ow; pixel++) {
    const [image, oy, ox] = [Math.floor(pixel / (c.oh * c.ow)), Math.floor(pixel / c.ow) % c.oh, pixel % c.ow];
    taps(c).forEach((tap, index) => {
      const from = placeInInput(c, image, oy, ox, tap);
      if (from < 0) return;
      for (let i = 0; i < c.input; i++)
        for (let o = 0; o < c.co; o++) {
          const at = (index * c.input + i) * c.co + o;
          y[pixel * c.co + o] += x[from + i] * filter[at];
          dx[from + i] += dy[pixel * c.co + o] * filter[at];
          dfilter[at] += x[from + i] * dy[pixel * c.co + o];
        }
    });
  }
  return { y, dx, dfilter };
}
