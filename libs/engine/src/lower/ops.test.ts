/** Every op that is lowered, on its own: its program gives what tfjs gives, by the interpreter and by the native kernels. */
import { test } from 'node:test';
import { assertSame } from './lowered.fixture.js';
import { numbersOf, testEngineOf } from '../engine.fixture.js';
import type { Tensor, Tensor4D, TypedArray } from '#src/device/binding.js';
import type { TensorSpec } from '#src/record/tensor-spec.js';
import { sizeOf } from '#src/record/tensor-spec.js';

const engine = testEngineOf({ engine: 'program' });
const { tf } = engine;

type Case = {
  readonly shapes: readonly (readonly number[])[];
  readonly ints?: readonly number[];
  /** What the drawn numbers of -1..1 become. */
  readonly of?: (x: number) => number;
  readonly run: (...inputs: Tensor[]) => Tensor | Tensor[];
};

const gradient =
  (fn: (x: Tensor) => Tensor) =>
  (x: Tensor): Tensor => {
    const weigh = (y: Tensor): Tensor => tf.sum(tf.mul(y, tf.add(tf.square(y), 0.5)));
    return tf.grad((one: Tensor) => weigh(fn(one)))(x);
  };

const one = (run: (x: Tensor) => Tensor | Tensor[], of?: Case['of']): Case => ({
  shapes: [[3, 5]],
  run,
  ...(of === undefined ? {} : { of }),
});
const two = (run: (a: Tensor, b: Tensor) => Tensor, ...shapes: number[][]): Case => ({
  shapes:
    shapes.length === 0
      ? [
          [2, 3, 4],
          [3, 1],
        ]
      : shapes,
  run,
});
const positive = (x: number): number => 1.5 + x;
const ints = (run: Case['run'], ...shapes: number[][]): Case => ({
  shapes:
    shapes.length === 0
      ? [
          [2, 3, 4],
          [3, 1],
        ]
      : shapes,
  ints: [0, 1],
  of: (x) => Math.trunc(5 * x),
  run,
});
const float = (x: Tensor): Tensor => tf.cast(x, 'float32');
const images = (x: Tensor): Tensor4D => x as Tensor4D;

const CASES: Readonly<Record<string, Case>> = {
  'neg abs sign square': one((x) => [tf.neg(x), tf.abs(x), tf.sign(x), tf.square(x)]),
  'reciprocal sqrt rsqrt log': one((x) => [tf.reciprocal(x), tf.sqrt(x), tf.rsqrt(x), tf.log(x)], positive),
  'exp expm1 log1p': one((x) => [tf.exp(x), tf.expm1(x), tf.log1p(tf.square(x))]),
  'sin cos tanh': one(
    (x) => [tf.sin(x), tf.cos(x), tf.tanh(x)],
    (x) => 4 * x,
  ),
  'sigmoid relu relu6 elu softplus erf': one(
    (x) => [tf.sigmoid(x), tf.relu(x), tf.relu6(x), tf.elu(x), tf.softplus(x), tf.erf(x)],
    (x) => 9 * x,
  ),
  'floor ceil round': one(
    (x) => [tf.floor(x), tf.ceil(x), tf.round(x)],
    (x) => Math.round(20 * x) / 4,
  ),
  'leakyRelu and its gradient': one((x) => [tf.leakyRelu(x, 0.2), gradient((y) => tf.leakyRelu(y, 0.2))(x)]),
  isNaN: one((x) => float(tf.isNaN(tf.sqrt(x)))),
  'gradients of activations': one((x) =>
    [tf.relu, tf.elu, tf.tanh, tf.sigmoid, tf.softplus].map((fn) => gradient(fn)(x)),
  ),
  'selu tan isFinite isInf': one(
    (x) => [tf.selu(x), tf.tan(x), float(tf.isFinite(tf.div(x, 0))), float(tf.isInf(tf.div(tf.round(x), 0)))],
    (x) => 3 * x,
  ),
  'batchNorm and its gradient': {
    shapes: [[2, 3, 3, 4], [4], [4], [4], [4]],
    of: positive,
    run: (x, mean, variance, offset, scale) => [
      tf.batchNorm(images(x), mean.as1D(), variance.as1D(), offset.as1D(), scale.as1D()),
      gradient((y) => tf.batchNorm(images(y), mean.as1D(), variance.as1D(), offset.as1D(), scale.as1D()))(x),
    ],
  },
  'reverse mirrorPad': {
    shapes: [[3, 4, 2]],
    run: (x) => [
      tf.reverse(x, [0, 2]),
      gradient((y) => tf.reverse(y, 1))(x),
      tf.mirrorPad(
        x,
        [
          [1, 2],
          [0, 0],
          [1, 1],
        ],
        'reflect',
      ),
      tf.mirrorPad(
        x,
        [
          [1, 2],
          [3, 0],
          [0, 0],
        ],
        'symmetric',
      ),
    ],
  },
  cumprod: { shapes: [[2, 4, 3]], of: positive, run: (x) => [tf.cumprod(x, 1), tf.cumprod(x, 2, true, true)] },
  'add sub mul': two((a, b) => tf.mul(tf.add(a, b), tf.sub(a, b))),
  'division by what is added': two((a, b) => tf.div(a, tf.add(tf.square(b), 1))),
  'maximum minimum squaredDifference': two((a, b) =>
    tf.add(tf.maximum(a, b), tf.mul(tf.minimum(a, b), tf.squaredDifference(a, b))),
  ),
  pow: { ...two((a, b) => tf.pow(a, b)), of: positive },
  addN: two((a, b) => tf.addN([a, b, a, tf.square(b)]), [2, 3], [2, 3]),
  comparisons: two((a, b) =>
    [tf.less, tf.lessEqual, tf.greater, tf.greaterEqual, tf.equal, tf.notEqual]
      .map((compare, bit) => tf.mul(float(compare(tf.round(tf.mul(a, 2)), tf.round(tf.mul(b, 2)))), 2 ** bit))
      .reduce((sum, part) => tf.add(sum, part)),
  ),
  logic: two((a, b) => {
    const [p, q] = [tf.greater(a, 0), tf.greater(b, 0)];
    return tf.add(float(tf.logicalAnd(p, tf.logicalNot(q))), tf.mul(2, float(tf.logicalOr(p, q))));
  }),
  'where, of conditions that are spread': two((a, b) => tf.where(tf.greater(b, 0), a, tf.mul(a, -2)), [2, 3], [2, 3]),
  'whole numbers': ints((a, b) => [
    tf.add(tf.mul(a, b), tf.sub(a, b)),
    tf.maximum(a, tf.minimum(b, 1)),
    tf.neg(tf.square(a)),
    tf.abs(a),
    tf.relu(a),
  ]),
  'comparisons of whole numbers': ints((a, b) =>
    [tf.less, tf.lessEqual, tf.greater, tf.greaterEqual, tf.equal, tf.notEqual]
      .map((compare, bit) => tf.mul(tf.cast(compare(a, b), 'int32'), 2 ** bit))
      .reduce((sum, part) => tf.add(sum, part)),
  ),
  'sums of whole numbers': ints((a, b) => [tf.sum(a, 1), tf.max(a, [0, 2]), tf.min(b)]),
  casts: {
    ...one(
      (x) => [tf.cast(x, 'int32'), float(tf.cast(x, 'bool'))],
      (x) => Math.trunc(3 * x),
    ),
  },
  'casts of whole numbers': ints((a, b) => [tf.add(float(a), float(b)), float(tf.cast(a, 'bool'))]),
  'sums along some axes': {
    shapes: [[2, 3, 4, 5]],
    run: (x) => [tf.sum(x, [1, 2]), tf.mean(x, [0, 3], true), tf.max(x, -1), tf.min(x, 0), tf.prod(x, [2])],
  },
  'sums of everything, and of what is repeated': {
    shapes: [[3, 1, 4]],
    run: (x) => [tf.sum(x), tf.mean(tf.tile(x, [1, 5, 1])), tf.sum(tf.tile(x, [1, 5, 1]), 1), tf.sum(x, 1)],
  },
  'sums of what is transposed': { shapes: [[3, 4, 5]], run: (x) => tf.sum(tf.transpose(x, [2, 0, 1]), [1]) },
  'all any': one((x) => [float(tf.all(tf.greater(x, -0.9), 1)), float(tf.any(tf.greater(x, 0.7), 1))]),
  'argMax argMin': one(
    (x) => [tf.argMax(x, 1), tf.argMin(x, 0)],
    (x) => Math.round(3 * x),
  ),
  'softmax logSoftmax': one((x) => [
    tf.softmax(x),
    tf.logSoftmax(x),
    gradient(tf.softmax)(x),
    gradient(tf.logSoftmax)(x),
  ]),
  'cumsum, in all four ways': {
    shapes: [[2, 4, 3]],
    run: (x) => [tf.cumsum(x, 1), tf.cumsum(x, 1, true), tf.cumsum(x, 2, false, true), tf.cumsum(x, 0, true, true)],
  },
  'gradients of sums': {
    shapes: [[2, 3, 4]],
    run: (x) => [gradient((y) => tf.mean(y, [0, 2]))(x), gradient(tf.max)(x)],
  },
  'reshape transpose': {
    shapes: [[2, 3, 4]],
    run: (x) => [tf.reshape(tf.transpose(x, [1, 0, 2]), [6, 4]), tf.transpose(x), tf.reshape(tf.transpose(x), [-1])],
  },
  'split slice': {
    shapes: [[4, 6]],
    run: (x) => [...tf.split(x, [1, 3]), ...tf.split(x, [2, 4], 1), tf.slice(x, [1, 2], [2, -1]), ...tf.split(x, 3, 1)],
  },
  stridedSlice: {
    shapes: [[5, 6]],
    run: (x) => [
      tf.stridedSlice(x, [1, 0], [5, 6], [2, 3]),
      tf.stridedSlice(x, [-3, 1], [-1, 100], [1, 2], 0, 2),
      tf.stridedSlice(x, [1, 2], [2, 4], [1, 1], 0, 0, 0, 0, 1),
    ],
  },
  'concat stack unstack': {
    shapes: [
      [2, 3],
      [2, 3],
    ],
    run: (a, b) => [
      tf.concat([a, b]),
      tf.concat([a, b], 1),
      tf.stack([a, b]),
      tf.stack([a, b], 2),
      ...tf.unstack(a, 1),
    ],
  },
  'a tensor twice in a concatenation, and twice an output': {
    shapes: [[2, 3]],
    run: (x) => {
      const y = tf.exp(x);
      return [tf.concat([y, y]), y, y, tf.concat([x, y, x])];
    },
  },
  'tile broadcastTo pad': {
    shapes: [[2, 1, 3]],
    run: (x) => [
      tf.tile(x, [2, 3, 2]),
      tf.broadcastTo(x, [4, 2, 5, 3]),
      tf.pad(
        x,
        [
          [1, 2],
          [0, 0],
          [2, 0],
        ],
        0.5,
      ),
      tf.pad(x, [
        [0, 0],
        [0, 0],
        [0, 0],
      ]),
    ],
  },
  'expandDims squeeze': {
    shapes: [[1, 3, 1]],
    run: (x) => [tf.expandDims(x, 1), tf.squeeze(x), tf.squeeze(tf.exp(x), [0])],
  },
  'fill range ones zeros': {
    shapes: [[4]],
    run: (x) => [
      tf.add(x, tf.range(0, 4)),
      tf.mul(tf.onesLike(x), x),
      tf.add(tf.zerosLike(x), x),
      tf.add(x, tf.fill([3, 4], 2.5)),
    ],
  },
  'band of a constant': {
    shapes: [[4, 4]],
    run: (x) => tf.mul(x, tf.linalg.bandPart(tf.ones([4, 4]), -1, 0)),
  },
  'oneHot gather and its gradient': {
    shapes: [
      [5, 3],
      [2, 4],
    ],
    ints: [1],
    of: (x) => Math.floor(2.5 + 2.5 * x),
    run: (x, at) => [
      tf.oneHot(tf.cast(at, 'int32'), 5),
      tf.gather(x, tf.cast(at, 'int32')),
      tf.gather(x, tf.cast(tf.slice(at, [0, 0], [1, 2]), 'bool').cast('int32'), 1),
      gradient((y) => tf.gather(y, tf.cast(at, 'int32')))(x),
    ],
  },
  'products, in all four ways': {
    shapes: [
      [3, 4],
      [4, 5],
      [4, 3],
      [5, 4],
    ],
    run: (a, b, c, d) => [
      tf.matMul(a, b),
      tf.matMul(c, b, true),
      tf.matMul(a, d, false, true),
      tf.matMul(c, d, true, true),
      tf.matMul(tf.transpose(c), b),
    ],
  },
  'products in batches': {
    shapes: [
      [2, 3, 4, 5],
      [2, 3, 5, 6],
      [5, 6],
      [3, 5, 4],
    ],
    run: (a, b, c, d) => [
      tf.matMul(a, b),
      tf.matMul(a, c),
      tf.matMul(d, b, true, false),
      tf.matMul(tf.transpose(a, [1, 0, 2, 3]), c),
    ],
  },
  'products with a bias': {
    shapes: [[3, 4], [4, 5], [5]],
    run: (a, b, bias) => [tf.add(tf.matMul(a, b), bias), tf.relu(tf.add(bias, tf.matMul(a, b)))],
  },
  'convolutions and their gradients': {
    shapes: [
      [2, 7, 6, 3],
      [3, 2, 3, 4],
    ],
    run: (x, filter) =>
      (['same', 'valid'] as const).flatMap((pad) => {
        const strides: [number, number] = pad === 'valid' ? [2, 1] : [1, 2];
        const convolve = (image: Tensor, weights: Tensor): Tensor =>
          tf.conv2d(images(image), images(weights), strides, pad);
        return [convolve(x, filter), ...tf.grads((a: Tensor, b: Tensor) => tf.square(convolve(a, b)))([x, filter])];
      }),
  },
  'a dilated convolution, and a transposed one with a bias': {
    shapes: [[2, 7, 6, 3], [3, 2, 3, 4], [3, 3, 2, 3], [2]],
    run: (x, filter, back, bias) => [
      tf.conv2d(images(x), images(filter), 1, 'same', 'NHWC', 2),
      tf.add(tf.conv2dTranspose(images(x), images(back), [2, 14, 12, 2], 2, 'same'), bias),
    ],
  },
  'pooling and its gradients': {
    shapes: [[2, 7, 6, 3]],
    run: (x) => {
      const pools = (['same', 'valid'] as const).flatMap((pad) => [
        (y: Tensor): Tensor => tf.maxPool(images(y), [3, 2], 2, pad),
        (y: Tensor): Tensor => tf.avgPool(images(y), [3, 2], [2, 1], pad),
      ]);
      return pools.flatMap((pool) => [pool(x), gradient(pool)(x)]);
    },
  },
  'an image made larger': { shapes: [[2, 3, 2, 4]], run: (x) => tf.image.resizeNearestNeighbor(images(x), [6, 6]) },
};

for (const [name, { shapes, ints: whole = [], of = (x: number): number => x, run }] of Object.entries(CASES))
  test(name, () => {
    const specs = shapes.map((shape, index): TensorSpec => ({
      shape,
      dtype: whole.includes(index) ? 'int32' : 'float32',
    }));
    const inputs = specs.map(({ shape, dtype }, index): TypedArray => {
      const numbers = numbersOf(sizeOf(shape), 31 + index).map(of);
      return dtype === 'int32' ? Int32Array.from(numbers, Math.trunc) : numbers;
    });
    const fn = (tensors: Tensor[]): Tensor[] => [run(...tensors)].flat();
    assertSame(engine, fn, specs, inputs, 1e-5);
  });
