/** Compiled functions against eager ones, over functions that are put together by chance. */
import { test } from 'node:test';
import fc from 'fast-check';
import type { Tensor } from '#src/device/binding.js';
import { biasAdd } from '#src/kernels/bias-add.js';
import { compile } from '#src/program/compile.js';
import { runEager } from '#src/program/eager.js';
import { assertClose, numbersOf, testEngine } from '../engine.fixture.js';
import { groupNorm } from '#src/kernels/group-norm.js';
import { silu } from '#src/kernels/silu.js';
import { sizeOf, type TensorSpec } from '#src/record/tensor-spec.js';
import type { TensorFunction } from '#src/record/trace.js';

const engine = testEngine();
const { tf } = engine;

type Step = (x: Tensor, y: Tensor) => Tensor;

/** Each takes the state [n, h, w, C] and an input of the same shape, and gives a state of that shape. */
const STEPS: Readonly<Record<string, Step>> = {
  add: (x, y) => tf.add(x, y),
  subtract: (x, y) => tf.sub(x, y),
  multiply: (x, y) => tf.mul(x, y),
  divide: (x, y) => tf.div(x, tf.add(tf.square(y), 1)),
  maximum: (x, y) => tf.maximum(x, y),
  exponential: (x) => tf.exp(tf.clipByValue(x, -2, 2)),
  tanh: (x) => tf.tanh(x),
  sigmoid: (x) => tf.sigmoid(x),
  silu: (x) => silu(engine, x),
  relu: (x) => tf.relu(x),
  'root of square': (x) => tf.sqrt(tf.add(tf.square(x), 0.5)),
  softmax: (x) => tf.softmax(x, -1),
  'bias of means': (x) => biasAdd(engine, x, tf.mean(x, [0, 1, 2])),
  'less its mean': (x) => tf.sub(x, tf.mean(x, [1, 2], true)),
  'times its sums': (x) => tf.mul(x, tf.tanh(tf.sum(x, -1, true))),
  // With y: of a state that is the same everywhere, as softmax over one channel, it would make rounding 300 times as large.
  'group norm': (x, y) =>
    groupNorm(engine, {
      x: tf.add(x, y),
      gamma: tf.ones([x.shape[3] ?? 0]),
      beta: tf.zeros([x.shape[3] ?? 0]),
      groups: 1,
    }),
  'turned twice': (x) => tf.transpose(tf.tanh(tf.transpose(x, [0, 3, 1, 2])), [0, 2, 3, 1]),
  'product of pixels': (x, y) => {
    const [n, h, w, C] = shape4(x);
    const pixels = (t: Tensor): Tensor => tf.reshape(t, [n, h * w, C]);
    const scores = tf.softmax(tf.matMul(pixels(x), pixels(y), false, true));
    return tf.reshape(tf.matMul(scores, pixels(y)), [n, h, w, C]);
  },
  convolution: (x, y) => {
    const C = shape4(x)[3];
    const filter = tf.reshape(tf.slice(tf.tile(tf.reshape(y, [-1]), [C * C]), 0, C * C), [1, 1, C, C]);
    return tf.conv2d(x.as4D(...shape4(x)), filter.as4D(1, 1, C, C), 1, 'same');
  },
  'halves exchanged': (x, y) => {
    const [first, rest] = tf.split(tf.concat([x, y], 3), 2, 3);
    return tf.concat([rest, first], 3).slice([0, 0, 0, 0], shape4(x));
  },
};

function shape4(tensor: Tensor): [number, number, number, number] {
  const sizes: readonly number[] = tensor.shape;
  return [sizes[0], sizes[1], sizes[2], sizes[3]];
}

const size = fc.integer({ min: 1, max: 4 });
const program = fc.record({
  shape: fc.tuple(size, size, size, size),
  steps: fc.array(fc.constantFrom(...Object.keys(STEPS)), { minLength: 1, maxLength: 6 }),
  seed: fc.nat(1000),
});

test('a compiled function gives what the eager one gives, for any of a family of functions and shapes, with its gradients', () => {
  fc.assert(
    fc.property(program, ({ shape, steps, seed }) => {
      const specs: TensorSpec[] = [0, 1].map(() => ({ shape, dtype: 'float32' }));
      // tfjs takes no gradient of an input that is not used, so both go in at once.
      const apply = (x: Tensor, y: Tensor): Tensor =>
        steps.reduce((state, name) => STEPS[name](state, y), tf.add(x, y));
      const fn: TensorFunction = ([x, y]) => {
        const { value, grads } = tf.valueAndGrads((a: Tensor, b: Tensor) => tf.sum(tf.sin(apply(a, b))).asScalar())([
          x,
          y,
        ]);
        return [apply(x, y), value, ...grads];
      };
      const inputs = specs.map((_, index) => numbersOf(sizeOf(shape), seed + index));
      const compiled = compile(engine, fn, specs);
      const eager = runEager(engine, fn, specs, inputs);
      // The one at the end is the inputs' size: where terms cancel, what is left is rounding of that size.
      compiled
        .run(inputs)
        .forEach((output, index) => assertClose([...output, 1], [...eager[index], 1], 2e-5, `output ${index}`));
      compiled.dispose();
    }),
    { numRuns: 60 },
  );
});

test('integer functions are the same to the bit', () => {
  const integerSteps: Readonly<Record<string, Step>> = {
    add: (x, y) => tf.add(x, y),
    multiply: (x, y) => tf.mul(x, y),
    maximum: (x, y) => tf.maximum(x, y),
    'where less': (x, y) => tf.where(tf.less(x, y), y, x),
    sum: (x, y) => tf.add(tf.sum(x, -1, true), y),
    cumulative: (x) => tf.cumsum(x, 0),
    reversed: (x) => tf.reverse(x, 0),
  };
  const integers = fc.record({
    shape: fc.tuple(size, size),
    steps: fc.array(fc.constantFrom(...Object.keys(integerSteps)), { minLength: 1, maxLength: 8 }),
    seed: fc.nat(1000),
  });
  fc.assert(
    fc.property(integers, ({ shape, steps, seed }) => {
      const specs: TensorSpec[] = [0, 1].map(() => ({ shape, dtype: 'int32' }));
      const fn: TensorFunction = ([x, y]) => [steps.reduce((state, name) => integerSteps[name](state, y), x)];
      const inputs = specs.map((_, index) =>
        Int32Array.from(numbersOf(sizeOf(shape), seed + index), (value) => value * 10),
      );
      const compiled = compile(engine, fn, specs);
      const [actual] = compiled.run(inputs);
      const [expected] = runEager(engine, fn, specs, inputs);
      assertClose(actual, expected, 0, steps.join());
      compiled.dispose();
    }),
    { numRuns: 40 },
  );
});
