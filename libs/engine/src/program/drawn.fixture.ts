/** Numbers, shapes and strides drawn from a seed, and the error of float32 results in units in the last place. */
import assert from 'node:assert/strict';

/** Numbers of 0 .. 1 from a seed (Steele, Vigna 2021: a 32-bit mix of a counter). */
export class Draw {
  constructor(private state: number) {}

  uniform(): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  }
  /** A whole number of from .. to. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.uniform() * (to - from + 1));
  }
  of<T>(choices: readonly T[]): T {
    return choices[this.whole(0, choices.length - 1)];
  }
  floats(size: number, from = -4, to = 4): Float32Array {
    return Float32Array.from({ length: size }, () => from + this.uniform() * (to - from));
  }
  /** Floats, and among them what is special. */
  wild(size: number, scale = 10): Float32Array {
    return this.floats(size, -scale, scale).map((value) => (this.uniform() < 0.2 ? this.of(SPECIAL) : value));
  }
  ints(size: number, from: number, to: number): Int32Array {
    return Int32Array.from({ length: size }, () => this.whole(from, to));
  }
  /** Rank 0 to 5, sizes 1, odd, beyond a vector, and now and then 0 or long enough for pieces of work. */
  shape(): number[] {
    const rank = this.whole(0, 5);
    const shape = Array.from({ length: rank }, () => this.of([1, 1, 2, 3, 5, 8, 17, 33]));
    if (rank > 0 && this.uniform() < 0.1) return shape.map((_, axis) => (axis + 1 < rank ? 1 : 40_001));
    if (rank > 0 && this.uniform() < 0.05) shape[0] = 0;
    while (product(shape) > 20_000) shape[shape.indexOf(Math.max(...shape))] = 1;
    return shape;
  }
  /** Strides of a tensor of that shape: dense, repeated along some axes or all, with its axes turned, or with gaps. */
  strides(shape: readonly number[]): { readonly strides: number[]; readonly size: number } {
    const rank = shape.length;
    const size = Math.max(1, product(shape));
    const kind = this.whole(0, 4);
    if (kind === 1) return { strides: shape.map(() => 0), size: 1 };
    if (kind === 2) {
      const kept = shape.map((length) => (this.uniform() < 0.5 ? length : 1));
      const dense = denseStrides(kept);
      return { strides: dense.map((step, axis) => (kept[axis] === 1 ? 0 : step)), size: Math.max(1, product(kept)) };
    }
    if (kind === 3) {
      const order = this.order(rank);
      const turned = denseStrides(order.map((axis) => shape[axis]));
      const strides = shape.map((_, axis) => turned[order.indexOf(axis)]);
      return { strides, size };
    }
    const step = kind === 4 ? 2 : 1;
    return { strides: denseStrides(shape).map((one) => one * step), size: size * step };
  }
  order(length: number): number[] {
    const order = Array.from({ length }, (_, index) => index);
    for (let left = length - 1; left > 0; left--) {
      const other = this.whole(0, left);
      [order[left], order[other]] = [order[other], order[left]];
    }
    return order;
  }
}

export const SPECIAL = [
  0,
  -0,
  1,
  -1,
  NaN,
  Infinity,
  -Infinity,
  1e-45,
  -1e-45,
  1e-38,
  3e38,
  -3e38,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  88,
  89,
  -88,
  -104,
  8388607.5,
  2147483648,
  -2147483648,
  16777217,
];

export const product = (shape: readonly number[]): number => shape.reduce((all, size) => all * size, 1);

export function denseStrides(shape: readonly number[]): number[] {
  let step = 1;
  return shape
    .map((size) => size)
    .reverse()
    .map((size) => {
      const own = step;
      step *= size;
      return own;
    })
    .reverse();
}

/** Places of all cells of a view, in row-major order. */
export function places(shape: readonly number[], strides: readonly number[]): number[] {
  let all = [0];
  shape.forEach((size, axis) => {
    all = all.flatMap((place) => Array.from({ length: size }, (_, index) => place + index * strides[axis]));
  });
  return all;
}

/** The largest error in units in the last place of what was expected; below the normal range, of the smallest normal number. */
export function ulpsOf(actual: Float32Array, expected: readonly number[]): number {
  let most = 0;
  actual.forEach((value, index) => {
    const want = expected[index];
    if (Object.is(value, Math.fround(want)) || (value === 0 && want === 0)) return;
    const unit = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(want), 2 ** -126))) - 23);
    const error = Math.abs(value - want) / unit;
    assert.ok(!Number.isNaN(error), `${value} in place of ${want}`);
    most = Math.max(most, error);
  });
  return most;
}
