/** Ops that are several instructions. */
import { choose, combine, number } from './elementwise.js';
import type { Lowering, Lowerings, Node } from './node.js';
import { along } from './reduce.js';
import type { Value } from './values.js';

const relu6: Lowering = (node) => {
  const [x] = node.inputs;
  node.floats(x);
  return combine(node, 'minimum', node.draft.unary('relu', x, x.dtype), number(node, 6), x.dtype);
};

const leakyRelu: Lowering = (node) => {
  const [x] = node.inputs;
  node.floats(x);
  const positive = combine(node, 'greater', x, number(node, 0), 'bool');
  return choose(node, positive, x, combine(node, 'mul', x, number(node, node.float('alpha')), x.dtype));
};

/** Of dy and of elu's result y: dy (y + 1) where y < 0. */
const eluGradient: Lowering = (node) => {
  const [dy, y] = node.inputs;
  node.floats(dy, y);
  const slope = combine(node, 'add', y, number(node, 1), 'float32');
  const negative = combine(node, 'less', y, number(node, 0), 'bool');
  return choose(node, negative, combine(node, 'mul', dy, slope, 'float32'), dy);
};

const floorDivide: Lowering = (node) => {
  const [a, b] = node.inputs;
  node.floats(a, b);
  return node.draft.unary('floor', combine(node, 'div', a, b, 'float32'), 'float32');
};

/** x - max - log(sum(exp(x - max))). */
const logSoftmax: Lowering = (node) => {
  const [x] = node.inputs;
  node.floats(x);
  const last = new Set([x.shape.length - 1]);
  const shifted = combine(node, 'sub', x, along(node, 'max', x, last, 'float32'), 'float32');
  const sum = along(node, 'sum', node.draft.unary('exp', shifted, 'float32'), last, 'float32');
  return combine(node, 'sub', shifted, node.draft.unary('log', sum, 'float32'), 'float32');
};

/** scale x where x > 0, else scale alpha (exp(x) - 1); the numbers of Klambauer et al. 2017. */
const selu: Lowering = (node) => {
  const [x] = node.inputs;
  node.floats(x);
  const [scale, alpha] = [1.0507009873554805, 1.6732632423543772];
  const negative = times(node, node.draft.unary('expm1', x, 'float32'), scale * alpha);
  return choose(node, combine(node, 'greater', x, number(node, 0), 'bool'), times(node, x, scale), negative);
};

function times(node: Node, x: Value, factor: number): Value {
  return combine(node, 'mul', x, number(node, factor), 'float32');
}

const tangent: Lowering = (node) => {
  const [x] = node.inputs;
  node.floats(x);
  return combine(node, 'div', node.draft.unary('sin', x, 'float32'), node.draft.unary('cos', x, 'float32'), 'float32');
};

/** How |x| compares with infinity; of a NaN it does not. */
const infinity =
  (comparison: string): Lowering =>
  (node) => {
    const [x] = node.inputs;
    node.floats(x);
    return combine(node, comparison, node.draft.unary('abs', x, 'float32'), number(node, Infinity), 'bool');
  };

/** (x - mean) scale / sqrt(variance + epsilon) + offset, of a mean and a variance that are given. */
const batchNorm: Lowering = (node) => {
  const [x, scale, offset, mean, variance] = node.inputs;
  node.floats(x, scale, offset, mean, variance);
  if (node.bool('is_training') || node.text('data_format') === 'NCHW') node.fail('it is in training, or of NCHW');
  const shifted = combine(node, 'add', variance, number(node, node.float('epsilon')), 'float32');
  const factor = combine(node, 'mul', node.draft.unary('rsqrt', shifted, 'float32'), scale, 'float32');
  const centred = combine(node, 'sub', x, mean, 'float32');
  return combine(node, 'add', combine(node, 'mul', centred, factor, 'float32'), offset, 'float32');
};

export const COMPOSED: Lowerings = {
  Relu6: relu6,
  LeakyRelu: leakyRelu,
  EluGrad: eluGradient,
  FloorDiv: floorDivide,
  LogSoftmax: logSoftmax,
  Selu: selu,
  Tan: tangent,
  IsFinite: infinity('less'),
  IsInf: infinity('equal'),
  FusedBatchNorm: batchNorm,
};
