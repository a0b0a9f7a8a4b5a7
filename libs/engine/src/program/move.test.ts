import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Draw, denseStrides, places, product } from './drawn.fixture.js';
import { bitsOf, failureOf, floatsOf, intsOf, runKernel, floats, sameBits } from './one-instruction.fixture.js';
import { sumByRule } from './sums.fixture.js';

const OUT_OF_RANGE = 1;

test('copy brings every cell to its place, whatever the strides on both sides, and touches no other', () => {
  const draw = new Draw(21);
  for (let repeat = 0; repeat < 80; repeat++) {
    const shape = draw.shape();
    const { strides, size } = draw.strides(shape);
    // Odd numbers of all bits: copied, not computed with.
    const x = draw.ints(size, -(2 ** 31), 2 ** 31 - 1);
    const order = draw.order(shape.length);
    const turned = denseStrides(order.map((axis) => shape[axis]));
    const gap = draw.of([1, 1, 2]);
    const to = shape.map((_, axis) => turned[order.indexOf(axis)] * gap);
    const out = intsOf('copy', [0, 1, shape.length, ...shape, ...strides, ...to], [x], gap * product(shape));
    const expected = new Int32Array(gap * product(shape)).fill(0x7fc12345);
    const sources = places(shape, strides);
    places(shape, to).forEach((place, index) => (expected[place] = x[sources[index]]));
    assert.ok(sameBits(out, expected), `${shape.join('x')}, from ${strides.join()} to ${to.join()}`);
  }
});

test('fill and one-hot set all their cells', () => {
  const draw = new Draw(22);
  for (const size of [0, 1, 5, 16, 17, 40_001]) {
    assert.ok(floatsOf('fill', [0, size, bitsOf(1.25)], [], size).every((value) => value === 1.25));
    const indices = draw.ints(size, -2, 11);
    const out = floatsOf('oneHot', [0, 1, size, 10, bitsOf(2), bitsOf(-1)], [indices], 10 * size);
    assert.ok(out.every((value, cell) => value === (indices[Math.floor(cell / 10)] === cell % 10 ? 2 : -1)));
  }
});

test('gather takes slices, and a run with an index out of range fails', () => {
  const draw = new Draw(23);
  for (const [outer, axis, inner, count] of [
    [1, 1, 1, 1],
    [3, 7, 5, 11],
    [2, 10, 64, 3],
    [1, 100, 1, 50],
    [40, 3, 700, 2],
  ]) {
    const x = draw.ints(outer * axis * inner, -(2 ** 31), 2 ** 31 - 1);
    const indices = draw.ints(count, 0, axis - 1);
    const operands = [0, 1, 2, outer, axis, inner, count];
    const out = intsOf('gather', operands, [x, indices], outer * count * inner);
    const expected = out.map((_, cell) => {
      const [before, index, after] = [Math.floor(cell / inner / count), Math.floor(cell / inner) % count, cell % inner];
      return x[(before * axis + indices[index]) * inner + after];
    });
    assert.ok(sameBits(out, expected));
    for (const wrong of [-1, axis]) {
      indices[count - 1] = wrong;
      assert.equal(failureOf('gather', operands, [x, indices], out.length), OUT_OF_RANGE);
    }
  }
});

test('sums of segments follow the rule of sums in the order of their rows; negative ones are left out', () => {
  const draw = new Draw(24);
  for (const [count, inner, number] of [
    [1, 1, 1],
    [10, 3, 4],
    [1000, 17, 2],
    [20_000, 2, 1],
    [50, 700, 9],
  ]) {
    const x = draw.floats(count * inner);
    const segments = draw.ints(count, -1, number - 1);
    const operands = [0, 1, 2, count, inner, number];
    const [out] = runKernel('segmentSum', operands, [x, segments], [floats(number * inner)]);
    const rows = Array.from({ length: number }, (_, segment) =>
      [...segments.keys()].filter((row) => segments[row] === segment),
    );
    const expected = out.map((_, cell) =>
      sumByRule(rows[Math.floor(cell / inner)].map((row) => x[row * inner + (cell % inner)])),
    );
    assert.ok(sameBits(out, expected));
    segments[0] = number;
    assert.equal(failureOf('segmentSum', operands, [x, segments], number * inner), OUT_OF_RANGE);
  }
});
