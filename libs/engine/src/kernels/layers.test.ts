import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tensor } from '#src/device/binding.js';
import { biasAdd } from '#src/kernels/bias-add.js';
import { assertClose, numbersOf, testEngine } from '../engine.fixture.js';
import { groupNorm, groupNormSilu } from '#src/kernels/group-norm.js';
import type { Engine } from '#src/device/load.js';
import { relu } from '#src/kernels/relu.js';
import { silu } from '#src/kernels/silu.js';

const engine = testEngine();
const { tf } = engine;
const EPSILON = 1e-5;

type Shape = { n: number; h: number; w: number; C: number; groups: number };
const SHAPES: Shape[] = [
  { n: 2, h: 3, w: 4, C: 8, groups: 4 },
  { n: 1, h: 2, w: 1, C: 8, groups: 2 },
  { n: 3, h: 5, w: 5, C: 6, groups: 1 },
  // More channels than a strip of the kernel has, and more pixels than a chain.
  { n: 2, h: 7, w: 6, C: 40, groups: 5 },
];
/** The engine with our kernels, and as it is where there are none. */
const ENGINES = { kernels: engine, 'composed ops': { ...engine, native: false } };

/** The textbook formula, for tfjs' autodiff. */
function plain([x, e, gamma, beta]: Tensor[], { n, h, w, C, groups }: Shape, activate: boolean): Tensor {
  const shifted = tf.reshape(tf.add(x, tf.reshape(e, [n, 1, 1, C])), [n, h * w, groups, C / groups]);
  const centred = tf.sub(shifted, tf.mean(shifted, [1, 3], true));
  const variance = tf.mean(tf.square(centred), [1, 3], true);
  const normal = tf.reshape(tf.mul(centred, tf.rsqrt(tf.add(variance, EPSILON))), [n, h, w, C]);
  const y = tf.add(tf.mul(normal, gamma), beta);
  return activate ? tf.mul(y, tf.sigmoid(y)) : y;
}

/** The same in float64, without tfjs: sum over all elements of weights * result. */
function loss64(
  [x, e, gamma, beta]: Float64Array[],
  weights: Float32Array,
  { n, h, w, C, groups }: Shape,
  activate: boolean,
): number {
  const [p, c] = [h * w, C / groups];
  let total = 0;
  for (let image = 0; image < n; image++) {
    for (let group = 0; group < groups; group++) {
      const at = Array.from({ length: p * c }, (_, index) => ({
        pixel: Math.floor(index / c),
        channel: group * c + (index % c),
      }));
      const value = at.map(({ pixel, channel }) => x[(image * p + pixel) * C + channel] + e[image * C + channel]);
      const mean = value.reduce((sum, item) => sum + item, 0) / value.length;
      const variance = value.reduce((sum, item) => sum + (item - mean) ** 2, 0) / value.length;
      at.forEach(({ pixel, channel }, index) => {
        const y = ((value[index] - mean) / Math.sqrt(variance + EPSILON)) * gamma[channel] + beta[channel];
        total += weights[(image * p + pixel) * C + channel] * (activate ? y / (1 + Math.exp(-y)) : y);
      });
    }
  }
  return total;
}

function inputsOf({ n, h, w, C }: Shape, mean: number): Float32Array[] {
  return [
    numbersOf(n * h * w * C, 1).map((value) => value + mean),
    numbersOf(n * C, 2),
    numbersOf(C, 3),
    numbersOf(C, 4),
  ];
}

function fusedOf(shape: Shape, activate: boolean, on: Engine = engine) {
  const layer = activate ? groupNormSilu : groupNorm;
  return ([x, offset, gamma, beta]: Tensor[]): Tensor => layer(on, { x, offset, gamma, beta, groups: shape.groups });
}

/** Loss and gradients of sum(weights * fn(x, e, gamma, beta)). */
function differentiate(
  fn: (inputs: Tensor[]) => Tensor,
  arrays: Float32Array[],
  weights: Float32Array,
  { n, h, w, C }: Shape,
): Float32Array[] {
  const shapes = [[n, h, w, C], [n, C], [C], [C]];
  const results: Float32Array[] = [];
  tf.tidy(() => {
    const { value, grads } = tf.valueAndGrads((...inputs: Tensor[]) =>
      tf.sum(tf.mul(fn(inputs), tf.tensor(weights, shapes[0]))).asScalar(),
    )(arrays.map((array, index) => tf.tensor(array, shapes[index])));
    for (const tensor of [value, ...grads]) results.push(Float32Array.from(tensor.dataSync()));
  });
  return results;
}

const NAMES = ['loss', 'dX', 'de', 'dgamma', 'dbeta'];

for (const [path, on] of Object.entries(ENGINES))
  for (const activate of [false, true]) {
    const name = `${activate ? 'groupNormSilu' : 'groupNorm'} by ${path}`;

    test(`${name}: value and gradients are those of autodiff of the plain formula`, () => {
      for (const shape of SHAPES) {
        const arrays = inputsOf(shape, 0.3);
        const weights = numbersOf(arrays[0].length, 5);
        const expected = differentiate((inputs) => plain(inputs, shape, activate), arrays, weights, shape);
        const actual = differentiate(fusedOf(shape, activate, on), arrays, weights, shape);
        actual.forEach((array, index) =>
          assertClose(array, expected[index], 1e-5, `${NAMES[index]} of ${JSON.stringify(shape)}`),
        );
      }
    });

    // float32 holds 1000 to 6e-5. What the mean loses by that is, of the deviation, what results can be off by.
    for (const [deviation, tolerance] of [
      [1, 1e-3],
      [0.1, 5e-3],
      [0.01, 5e-2],
    ])
      test(`${name}: at a mean of 1000 and a deviation of ${deviation}, value and gradients are those of float64`, () => {
        const shape = SHAPES[0];
        const [x, ...rest] = inputsOf(shape, 0);
        // Uniform in [-1, 1) has a deviation of 0.58.
        const arrays = [
          x.map((value) => 1000 + (deviation / 0.58) * value),
          rest[0].map((value) => value * deviation),
          ...rest.slice(1),
        ];
        const weights = numbersOf(arrays[0].length, 6);
        const actual = differentiate(fusedOf(shape, activate, on), arrays, weights, shape);
        const wide = arrays.map((array) => Float64Array.from(array));
        assertClose(actual[0], [loss64(wide, weights, shape, activate)], tolerance, 'loss');
        wide.forEach((array, input) => {
          const step = 1e-4 * deviation;
          const expected = Array.from(array, (value, index) => {
            const at = (shift: number): number => {
              array[index] = value + shift;
              return loss64(wide, weights, shape, activate);
            };
            const slope = (at(step) - at(-step)) / (2 * step);
            array[index] = value;
            return slope;
          });
          assertClose(actual[input + 1], expected, tolerance, NAMES[input + 1]);
        });
      });

    test(`${name}: a constant image, whose variance is nothing but rounding, gives finite numbers`, () => {
      const shape = SHAPES[2];
      const arrays = inputsOf(shape, 0);
      arrays[0].fill(12345.678);
      const results = differentiate(fusedOf(shape, activate, on), arrays, numbersOf(arrays[0].length, 7), shape);
      for (const array of results) assert.ok(array.every(Number.isFinite));
    });
  }

test('groupNorm without an offset is that with a zero offset', () => {
  const shape = SHAPES[0];
  const [x, offset, gamma, beta] = inputsOf(shape, 0).map((array, index) =>
    tf.tensor(array, [[2, 3, 4, 8], [2, 8], [8], [8]][index]),
  );
  const without = groupNorm(engine, { x, gamma, beta, groups: 4 }).dataSync();
  assert.deepEqual(without, groupNorm(engine, { x, offset: tf.zerosLike(offset), gamma, beta, groups: 4 }).dataSync());
  assert.notDeepEqual(without, groupNorm(engine, { x, offset, gamma, beta, groups: 4 }).dataSync());
});

test('groupNorm refuses groups that do not divide the channels', () => {
  assert.throws(
    () => groupNorm(engine, { x: tf.zeros([1, 2, 2, 6]), gamma: tf.ones([6]), beta: tf.zeros([6]), groups: 4 }),
    RangeError,
  );
});

test('silu and its gradient are those of autodiff of x sigmoid(x)', () => {
  const x = tf.tensor1d([-30, -3, -0.5, 0, 0.5, 3, 30]);
  const dy = tf.tensor1d([1, 2, 3, 4, 5, 6, 7]);
  const reference = (t: Tensor): Tensor => tf.mul(t, tf.sigmoid(t));
  assertClose(silu(engine, x).dataSync(), reference(x).dataSync(), 1e-6, 'silu');
  assertClose(
    tf
      .grad((t) => silu(engine, t))(x, dy)
      .dataSync(),
    tf.grad(reference)(x, dy).dataSync(),
    1e-6,
    'gradient',
  );
});

test('relu is max(x, 0), and its gradient is that of autodiff, 0 at 0', () => {
  const x = tf.tensor1d([-3, -1e-30, 0, 1e-30, 3]);
  const dy = tf.tensor1d([1, 2, 3, 4, 5]);
  assert.deepEqual(relu(engine, x).dataSync(), tf.relu(x).dataSync());
  const actual = tf
    .grad((t) => relu(engine, t))(x, dy)
    .dataSync();
  assert.deepEqual([...actual], [0, 0, 0, 4, 5]);
  assert.deepEqual(
    actual,
    tf
      .grad((t: Tensor) => tf.relu(t))(x, dy)
      .dataSync(),
  );
});

test('biasAdd and its gradients are those of autodiff of a broadcast sum', () => {
  for (const shape of [
    [2, 3, 4, 5],
    [7, 5],
  ]) {
    const x = tf.tensor(
      numbersOf(
        shape.reduce((a, b) => a * b),
        8,
      ),
      shape,
    );
    const bias = tf.tensor(numbersOf(5, 9), [5]);
    const dy = tf.tensor(numbersOf(x.size, 10), shape);
    assert.deepEqual(biasAdd(engine, x, bias).dataSync(), tf.add(x, bias).dataSync());
    const actual = tf.grads((a: Tensor, b: Tensor) => biasAdd(engine, a, b))([x, bias], dy);
    const expected = tf.grads((a: Tensor, b: Tensor) => tf.add(a, b))([x, bias], dy);
    actual.forEach((gradient, index) =>
      assertClose(gradient.dataSync(), expected[index].dataSync(), 1e-5, `gradient ${index}`),
    );
  }
});
