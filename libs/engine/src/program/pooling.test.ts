import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draw } from './drawn.fixture.js';
import { floatsOf, sameBits } from './one-instruction.fixture.js';
import { sumByRule } from './sums.fixture.js';

const f = Math.fround;

/** n h w c, kh kw, strideH strideW, padTop padLeft, oh ow. */
const CASES = [
  [2, 4, 4, 8, 2, 2, 2, 2, 0, 0, 2, 2],
  [1, 5, 7, 3, 3, 3, 2, 2, 1, 1, 3, 4],
  [2, 14, 14, 5, 2, 2, 2, 2, 0, 0, 7, 7],
  [1, 20, 20, 3, 20, 20, 1, 1, 0, 0, 1, 1],
  [1, 6, 6, 17, 3, 3, 1, 1, 1, 1, 6, 6],
  [2, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1],
  [3, 7, 7, 33, 2, 3, 3, 1, 0, 1, 2, 7],
  [1, 30, 30, 2, 17, 17, 5, 5, 8, 8, 6, 6],
];

type Sizes = { readonly images: number; readonly x: number; readonly y: number };

/** Calls each(places in x, place in y) for every window and channel. */
function windows(
  [n, h, w, c, kh, kw, sh, sw, top, left, oh, ow]: readonly number[],
  each: (xs: number[], y: number) => void,
): Sizes {
  for (let image = 0; image < n; image++)
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++)
        for (let channel = 0; channel < c; channel++) {
          const xs: number[] = [];
          for (let row = Math.max(0, i * sh - top); row < Math.min(h, i * sh - top + kh); row++)
            for (let column = Math.max(0, j * sw - left); column < Math.min(w, j * sw - left + kw); column++)
              xs.push(((image * h + row) * w + column) * c + channel);
          each(xs, ((image * oh + i) * ow + j) * c + channel);
        }
  return { images: n, x: n * h * w * c, y: n * oh * ow * c };
}

/** Many equal values and zeros of both signs, so that the first of them counts. */
const values = (draw: Draw, size: number, some: readonly number[]): Float32Array =>
  Float32Array.from({ length: size }, () => draw.of(some));

test('a maximum is the first largest of its window, and its gradient goes there', () => {
  const draw = new Draw(31);
  for (const sizes of CASES)
    for (const some of [
      [-1, 0, -0, 1, 2],
      [-3, -2, -Infinity, NaN],
    ]) {
      const { x: size, y: pooled } = windows(sizes, () => undefined);
      const [x, dy] = [values(draw, size, some), draw.floats(pooled)];
      const [expected, gradient] = [new Float32Array(pooled), new Float32Array(size)];
      windows(sizes, (xs, y) => {
        const nan = xs.find((place) => Number.isNaN(x[place]));
        const first = nan ?? xs.reduce((best, place) => (x[place] > x[best] ? place : best));
        expected[y] = x[first];
        gradient[first] = f(gradient[first] + dy[y]);
      });
      assert.ok(sameBits(floatsOf('maxPool', [0, 1, ...sizes], [x], pooled), expected), sizes.join());
      assert.ok(sameBits(floatsOf('maxPoolGradient', [0, 1, 2, ...sizes], [x, dy], size), gradient), sizes.join());
    }
});

test('an average is of the places within the image, by the rule of sums, and its gradient is shared among them', () => {
  const draw = new Draw(32);
  for (const sizes of CASES) {
    const { x: size, y: pooled } = windows(sizes, () => undefined);
    const [x, dy] = [draw.floats(size), draw.floats(pooled)];
    const [expected, gradient] = [new Float32Array(pooled), new Float32Array(size)];
    windows(sizes, (xs, y) => {
      expected[y] = sumByRule(xs.map((place) => x[place])) / f(xs.length);
      for (const place of xs) gradient[place] = f(gradient[place] + f(dy[y] / f(xs.length)));
    });
    assert.ok(sameBits(floatsOf('avgPool', [0, 1, ...sizes], [x], pooled), expected), sizes.join());
    assert.ok(sameBits(floatsOf('avgPoolGradient', [0, 1, ...sizes], [dy], size), gradient), sizes.join());
  }
});
