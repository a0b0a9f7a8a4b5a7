import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tensor } from '#src/device/binding.js';
import { conv3x3 } from '#src/kernels/conv3x3.js';
import { assertClose, numbersOf, testEngine } from '../engine.fixture.js';
import type { Engine } from '#src/device/load.js';

const engine = testEngine();
const composed: Engine = { ...engine, native: false };
const { tf } = engine;

type Case = { n: number; rows: number; columns: number; input: number; output: number; doubled: boolean };

/** Sizes that tiles of 4x4 fill and do not fill, channels that panels of 16 and blocks of 6 fill and do not fill. */
const CASES: Case[] = [
  { n: 1, rows: 1, columns: 1, input: 8, output: 8, doubled: false },
  { n: 2, rows: 4, columns: 4, input: 8, output: 16, doubled: false },
  { n: 3, rows: 7, columns: 7, input: 24, output: 40, doubled: false },
  { n: 2, rows: 5, columns: 9, input: 16, output: 8, doubled: false },
  { n: 1, rows: 28, columns: 28, input: 32, output: 32, doubled: false },
  { n: 1, rows: 16, columns: 16, input: 16, output: 32, doubled: false },
  { n: 1, rows: 32, columns: 32, input: 16, output: 16, doubled: false },
  { n: 1, rows: 48, columns: 48, input: 8, output: 8, doubled: false },
  { n: 1, rows: 64, columns: 64, input: 8, output: 16, doubled: false },
  { n: 2, rows: 32, columns: 32, input: 16, output: 8, doubled: true },
  { n: 9, rows: 14, columns: 13, input: 8, output: 24, doubled: false },
  { n: 2, rows: 7, columns: 7, input: 16, output: 24, doubled: true },
  { n: 1, rows: 1, columns: 2, input: 8, output: 8, doubled: true },
  { n: 3, rows: 6, columns: 5, input: 8, output: 16, doubled: true },
];

const nameOf = ({ n, rows, columns, input, output, doubled }: Case): string =>
  `[${n}, ${rows}, ${columns}, ${input}] to ${output}${doubled ? ', doubled' : ''}`;

function inputsOf({ n, rows, columns, input, output, doubled }: Case): Tensor[] {
  const times = doubled ? 2 : 1;
  const tensor = (shape: number[], seed: number): Tensor =>
    tf.tensor(
      numbersOf(
        shape.reduce((a, b) => a * b),
        seed,
      ),
      shape,
    );
  return [
    tensor([n, rows, columns, input], 1),
    tensor([3, 3, input, output], 2),
    tensor([output], 3),
    tensor([n, times * rows, times * columns, output], 4),
  ];
}

/** The convolution, and the gradients of a weighted sum of it. */
function resultsOf(on: Engine, one: Case): Float32Array[] {
  return tf.tidy(() => {
    const inputs = inputsOf(one);
    const apply = (x: Tensor, filter: Tensor, bias: Tensor, residual: Tensor): Tensor =>
      conv3x3(on, { x, filter, bias, residual, doubled: one.doubled });
    const [x, filter, bias, residual] = inputs;
    const weights = tf.tensor(numbersOf(residual.size, 5), residual.shape);
    const gradients = tf.grads(apply)(inputs, weights);
    return [apply(x, filter, bias, residual), ...gradients].map((tensor) => Float32Array.from(tensor.dataSync()));
  });
}

const NAMES = ['y', 'dx', 'dfilter', 'dbias', 'dresidual'];

test("the kernel's value and gradients are those of autodiff of TensorFlow's convolution", () => {
  for (const one of CASES) {
    const expected = resultsOf(composed, one);
    resultsOf(engine, one).forEach((actual, index) =>
      // Winograd's transforms multiply rounding by a few: direct sums of these sizes are within 1e-6.
      assertClose(actual, expected[index], 1e-5, `${NAMES[index]} of ${nameOf(one)}`),
    );
  }
});

test("the kernel's gradients are the slopes of its value", () => {
  const one = { n: 1, rows: 5, columns: 3, input: 8, output: 8, doubled: true };
  const [x, filter] = inputsOf(one);
  const weights = numbersOf(10 * 6 * 8, 6);
  const loss = (x0: Tensor, filter0: Tensor): number => {
    const y = conv3x3(engine, { x: x0, filter: filter0, doubled: true }).dataSync();
    return weights.reduce((sum, weight, index) => sum + weight * y[index], 0);
  };
  const [dx, dfilter] = tf.grads((a: Tensor, b: Tensor) => conv3x3(engine, { x: a, filter: b, doubled: true }))(
    [x, filter],
    tf.tensor(weights, [1, 10, 6, 8]),
  );
  // The value is linear in either argument, so a large step is exact but for rounding.
  const slopes = (tensor: Tensor, at: (moved: Tensor) => number): number[] =>
    Array.from({ length: Math.min(tensor.size, 40) }, (_, index) => {
      const moved = (by: number): Tensor => {
        const data = Float32Array.from(tensor.dataSync());
        data[index] += by;
        return tf.tensor(data, tensor.shape);
      };
      return (at(moved(8)) - at(moved(-8))) / 16;
    });
  const first = (tensor: Tensor): Float32Array => Float32Array.from(tensor.dataSync().slice(0, 40));
  assertClose(
    first(dx),
    slopes(x, (moved) => loss(moved, filter)),
    1e-5,
    'dx',
  );
  assertClose(
    first(dfilter),
    slopes(filter, (moved) => loss(x, moved)),
    1e-5,
    'dfilter',
  );
});

test('an image has the same bits alone and among others', () => {
  const one = { n: 5, rows: 14, columns: 14, input: 16, output: 16, doubled: false };
  const [x, filter, bias] = inputsOf(one);
  const together = conv3x3(engine, { x, filter, bias }).dataSync();
  const size = together.length / 5;
  for (let image = 0; image < 5; image++) {
    const alone = conv3x3(engine, { x: tf.slice(x, [image, 0, 0, 0], [1, 14, 14, 16]), filter, bias }).dataSync();
    assert.deepEqual(alone, together.slice(image * size, (image + 1) * size));
  }
});

test('left out bias and residual are zeros', () => {
  const [x, filter, bias, residual] = inputsOf(CASES[2]);
  const without = conv3x3(engine, { x, filter }).dataSync();
  const zeros = { bias: tf.zerosLike(bias), residual: tf.zerosLike(residual) };
  assert.deepEqual(without, conv3x3(engine, { x, filter, ...zeros }).dataSync());
  assert.notDeepEqual(without, conv3x3(engine, { x, filter, bias }).dataSync());
});

test('tensors that do not fit are an error of the op, not of the process', () => {
  const [x, filter, bias] = inputsOf(CASES[2]);
  const wrong: (() => unknown)[] = [
    () => conv3x3(engine, { x, filter, bias: tf.zeros([8]) }).dataSync(),
    () => conv3x3(engine, { x: tf.zeros([1, 4, 4, 16]), filter, bias }).dataSync(),
    () => conv3x3(engine, { x, filter: tf.zeros([5, 5, 24, 40]), bias }).dataSync(),
    () => conv3x3(engine, { x, filter, residual: tf.zeros([1, 2, 3, 40]) }).dataSync(),
  ];
  wrong.forEach((run, index) => assert.throws(run, /LockstepConv3x3|shape|3x3/, `case ${index}`));
});
