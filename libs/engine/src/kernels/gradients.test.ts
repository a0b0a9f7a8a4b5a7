/** Gradients written by hand against slopes of the value: what autodiff of a plain formula says is in layers.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Tensor } from '#src/device/binding.js';
import { biasAdd } from '#src/kernels/bias-add.js';
import { assertClose, numbersOf, testEngine } from '../engine.fixture.js';
import { silu } from '#src/kernels/silu.js';
import { sizeOf } from '#src/record/tensor-spec.js';

const engine = testEngine();
const { tf } = engine;

/** A function of arrays, without tfjs and in float64: its weighted sum is differentiated. */
type Reference = (arrays: Float64Array[]) => ArrayLike<number>;

/** Gradients of sum(weights * fn(inputs)), as tfjs takes them. */
function gradientsOf(
  fn: (...inputs: Tensor[]) => Tensor,
  arrays: Float32Array[],
  shapes: readonly (readonly number[])[],
  weights: Float32Array,
): Float32Array[] {
  const results: Float32Array[] = [];
  tf.tidy(() => {
    const inputs = arrays.map((array, index) => tf.tensor(array, [...shapes[index]]));
    const outputShape = fn(...inputs).shape;
    for (const gradient of tf.grads(fn)(inputs, tf.tensor(weights, outputShape)))
      results.push(Float32Array.from(gradient.dataSync()));
  });
  return results;
}

/** The same by central differences of `reference`. */
function slopesOf(reference: Reference, arrays: Float32Array[], weights: Float32Array, step: number): number[][] {
  const wide = arrays.map((array) => Float64Array.from(array));
  const loss = (): number => {
    const values = reference(wide);
    return weights.reduce((sum, weight, index) => sum + weight * values[index], 0);
  };
  return wide.map((array) =>
    Array.from(array, (value, index) => {
      const at = (moved: number): number => {
        array[index] = moved;
        return loss();
      };
      const slope = (at(value + step) - at(value - step)) / (2 * step);
      array[index] = value;
      return slope;
    }),
  );
}

test('the gradient of silu is its slope, from far left of zero to far right of it', () => {
  const x = Float32Array.from({ length: 161 }, (_, index) => index / 4 - 20);
  const weights = numbersOf(x.length, 1);
  const [actual] = gradientsOf((t) => silu(engine, t), [x], [[x.length]], weights);
  const [expected] = slopesOf(([values]) => values.map((value) => value / (1 + Math.exp(-value))), [x], weights, 1e-4);
  assertClose(actual, expected, 1e-6, 'silu');
});

const SHAPE = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });

test('the gradients of biasAdd are its slopes, in any number of axes, also around 1000', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 4 }),
      fc.constantFrom(0, 1000),
      (shape, mean) => {
        const channels = shape[shape.length - 1];
        const arrays = [numbersOf(sizeOf(shape), 2).map((value) => value + mean), numbersOf(channels, 3)];
        const weights = numbersOf(sizeOf(shape), 4);
        const actual = gradientsOf((x, bias) => biasAdd(engine, x, bias), arrays, [shape, [channels]], weights);
        const expected = slopesOf(
          ([x, bias]) => x.map((value, index) => value + bias[index % channels]),
          arrays,
          weights,
          1,
        );
        actual.forEach((gradient, index) => assertClose(gradient, expected[index], 1e-5, `gradient ${index}`));
      },
    ),
    { numRuns: 30 },
  );
});

/** The output's element for the element at `index` of `shape`, where `axes` are summed. */
function reducedIndex(index: number, shape: readonly number[], axes: readonly number[]): number {
  let [rest, stride, at] = [index, 1, 0];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const coordinate = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
    if (axes.includes(axis)) continue;
    at += coordinate * stride;
    stride *= shape[axis];
  }
  return at;
}

for (const kind of ['sum', 'mean'] as const)
  test(`the gradient of ${kind} is its slope over any axes, named from either end, kept or not, also around 1000`, () => {
    const cases = SHAPE.chain((shape) =>
      fc.record({
        shape: fc.constant(shape),
        axes: fc.subarray(
          shape.map((_, axis) => axis),
          { minLength: 1 },
        ),
        fromEnd: fc.boolean(),
        keepDims: fc.boolean(),
        mean: fc.constantFrom(0, 1000),
      }),
    );
    fc.assert(
      fc.property(cases, ({ shape, axes, fromEnd, keepDims, mean }) => {
        const x = numbersOf(sizeOf(shape), 5).map((value) => value + mean);
        const summed = axes.reduce((product, axis) => product * shape[axis], 1);
        const weights = numbersOf(x.length / summed, 6);
        const named = axes.map((axis) => (fromEnd ? axis - shape.length : axis));
        const [actual] = gradientsOf((t) => tf[kind](t, named, keepDims), [x], [shape], weights);
        const reference: Reference = ([values]) => {
          const sums = new Float64Array(weights.length);
          values.forEach((value, index) => (sums[reducedIndex(index, shape, axes)] += value));
          return kind === 'sum' ? sums : sums.map((sum) => sum / summed);
        };
        const [expected] = slopesOf(reference, [x], weights, 1);
        assertClose(actual, expected, 1e-6, `${kind} of [${shape.join()}] over ${named.join()}`);
      }),
      { numRuns: 40 },
    );
  });

test('the gradient of a gradient of sum and mean is that of the plain formula', () => {
  const x = tf.tensor2d([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  // d/dx of sum(mean(x^2 axis 1)^2): 4 x mean(x^2) / 3; its own sum is differentiated again.
  const first = tf.grad((t: Tensor) => tf.sum(tf.square(tf.mean(tf.square(t), 1))));
  const second = tf
    .grad((t: Tensor) => tf.sum(first(t)))(x)
    .dataSync();
  const numbers = [...x.dataSync()];
  const expected = numbers.map((_, index) => {
    const row = numbers.slice(index < 3 ? 0 : 3, index < 3 ? 3 : 6);
    const squares = row.reduce((sum, value) => sum + value * value, 0) / 3;
    const total = row.reduce((sum, value) => sum + value, 0);
    return (4 / 3) * squares + (8 / 9) * numbers[index] * total;
  });
  assertClose(second, expected, 1e-5, 'second derivative');
  assert.equal(second.length, 6);
});
