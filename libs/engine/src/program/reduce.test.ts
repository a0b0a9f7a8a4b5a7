import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draw, denseStrides, places, product } from './drawn.fixture.js';
import { floatsOf, intsOf, sameBits } from './one-instruction.fixture.js';
import { sumByRule } from './sums.fixture.js';

const f = Math.fround;
type Fold = (a: number, b: number) => number;
const larger: Fold = (a, b) => (a > b || Number.isNaN(a) ? a : b);
const smaller: Fold = (a, b) => (a < b || Number.isNaN(a) ? a : b);

type Case = {
  readonly shape: readonly number[];
  readonly axes: readonly number[];
  readonly strides: number[];
  readonly size: number;
};

/** Shapes that meet each way through a reduction, and drawn ones. */
function cases(draw: Draw, drawn: number): Case[] {
  const chosen: [number[], number[]][] = [
    [[66_000], [0]],
    [[257], [0]],
    [[5, 7000], [1]],
    [[7000, 5], [0]],
    [[9, 2049], [1]],
    [
      [300, 3, 40],
      [0, 1],
    ],
    [
      [3, 300, 40],
      [0, 2],
    ],
    [[2, 600, 33], [1]],
    [
      [2, 2, 1500],
      [0, 2],
    ],
    [[4, 0], [0]],
    [[0, 4], [0]],
    [[], []],
  ];
  const all = chosen.map(([shape, axes]): Case => ({
    shape,
    axes,
    strides: denseStrides(shape),
    size: Math.max(1, product(shape)),
  }));
  for (let repeat = 0; repeat < drawn; repeat++) {
    const shape = draw.shape();
    const axes = shape.map((_, axis) => axis).filter(() => draw.uniform() < 0.5);
    all.push({ shape, axes, ...draw.strides(shape) });
  }
  return all;
}

/** Operands, and for each output the places of its cells, in order. */
function reduction({ shape, axes, strides }: Case): { operands: number[]; outputs: number[][] } {
  const kept = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const part = (of: readonly number[]): [number[], number[]] => [
    of.map((axis) => shape[axis]),
    of.map((axis) => strides[axis]),
  ];
  const operands = [0, 1, ...[kept, axes].flatMap((of) => [of.length, ...part(of).flat()])];
  const inside = places(...part(axes));
  return { operands, outputs: places(...part(kept)).map((start) => inside.map((place) => start + place)) };
}

const label = (name: string, { shape, axes, strides }: Case): string =>
  `${name} of ${shape.join('x')} over ${axes.join()}, strides ${strides.join()}`;

test('sums and means follow the rule of chains, to the last bit', () => {
  const draw = new Draw(11);
  for (const one of cases(draw, 60)) {
    const x = draw.floats(one.size);
    const { operands, outputs } = reduction(one);
    const sums = outputs.map((cells) => sumByRule(cells.map((place) => x[place])));
    assert.ok(sameBits(floatsOf('sum', operands, [x], sums.length), Float32Array.from(sums)), label('sum', one));
    const means = sums.map((sum, index) => sum / f(outputs[index].length));
    assert.ok(sameBits(floatsOf('mean', operands, [x], sums.length), Float32Array.from(means)), label('mean', one));
  }
});

test('products follow the same rule', () => {
  const draw = new Draw(12);
  for (const one of cases(draw, 30)) {
    const x = draw.floats(one.size, 0.98, 1.02);
    const { operands, outputs } = reduction(one);
    const products = outputs.map((cells) =>
      sumByRule(
        cells.map((place) => x[place]),
        (a, b) => a * b,
        1,
      ),
    );
    assert.ok(
      sameBits(floatsOf('prod', operands, [x], products.length), Float32Array.from(products)),
      label('prod', one),
    );
  }
});

test('the largest and the smallest: of a NaN a NaN, of zeros +0, and the place of the first one', () => {
  const draw = new Draw(13);
  const folds: [string, Fold, number][] = [
    ['max', larger, -Infinity],
    ['min', smaller, Infinity],
  ];
  for (const one of cases(draw, 30)) {
    const values = draw.of([
      [0, -0],
      [0, -0, 1, -1, 2],
      [1, 2, 3, 4, Infinity, -Infinity],
      [1, 1.5, NaN],
    ]);
    const x = Float32Array.from({ length: one.size }, () => draw.of(values));
    const { operands, outputs } = reduction(one);
    for (const [name, fold, start] of folds) {
      const found = outputs.map((cells) => cells.reduce((best, place) => fold(best, x[place]), start) + 0);
      assert.ok(sameBits(floatsOf(name, operands, [x], found.length), Float32Array.from(found)), label(name, one));
      if (outputs.some((cells) => cells.length === 0)) continue;
      const first = outputs.map((cells) => {
        const nan = cells.findIndex((place) => Number.isNaN(x[place]));
        const best = cells.reduce((most, place) => (fold(x[place], most) === x[place] ? x[place] : most), x[cells[0]]);
        return nan >= 0 ? nan : cells.findIndex((place) => x[place] === best);
      });
      const places = intsOf(name === 'max' ? 'argMax' : 'argMin', operands, [x], first.length);
      assert.ok(sameBits(places, Int32Array.from(first)), label(`arg${name}`, one));
    }
  }
});

test('sums of whole numbers wrap around; any and every fold truth values', () => {
  const draw = new Draw(14);
  const folds: [string, Fold, number, [number, number]][] = [
    ['sumInt', (a, b) => (a + b) | 0, 0, [-(2 ** 31), 2 ** 31 - 1]],
    ['maxInt', Math.max, -(2 ** 31), [-1000, 1000]],
    ['minInt', Math.min, 2 ** 31 - 1, [-1000, 1000]],
    ['any', (a, b) => a | b, 0, [0, 1]],
    ['every', (a, b) => a & b, 1, [0, 1]],
  ];
  for (const one of cases(draw, 20)) {
    const { operands, outputs } = reduction(one);
    for (const [name, fold, start, [from, to]] of folds) {
      const x = draw.ints(one.size, from, to);
      const found = outputs.map((cells) => cells.reduce((sum, place) => fold(sum, x[place]), start));
      assert.ok(sameBits(intsOf(name, operands, [x], found.length), Int32Array.from(found)), label(name, one));
    }
  }
});
