/** Matrix products and convolutions. */
import type { Lowering, Lowerings, Node } from './node.js';
import { commonShape, mergeAxes, type Value } from './values.js';
import { sizeOf } from '../record/tensor-spec.js';

const NONE = -1;

/** One side of a product: its buffer, whether it lies transposed, and the cells from one matrix of the batch to the next. */
type Side = { readonly buffer: number; readonly transposed: boolean; readonly stride: number };

/** `value` [..., rows, columns] in a batch of the shape `batch`, without a copy where its matrices lie whole. */
function side(node: Node, value: Value, batch: readonly number[], adjoint: boolean): Side {
  const spreadTo = (one: Value): Value => node.spread(one, [...batch, ...one.shape.slice(-2)]);
  const [rows, columns] = value.shape.slice(-2);
  const stride = (one: Value): number | null => {
    const { shape, strides } = mergeAxes(batch, [one.strides.slice(0, -2)]);
    return shape.length > 1 ? null : shape[0] === 1 ? 0 : strides[0][0];
  };
  const [down, along] = value.strides.slice(-2);
  const lies = (outer: number, inner: number, outerSize: number, innerSize: number): boolean =>
    (inner === 1 || innerSize === 1) && (outer === innerSize || outerSize === 1);
  const straight = lies(down, along, rows, columns);
  const turned = lies(along, down, columns, rows);
  const step = stride(spreadTo(value));
  if (step !== null && (straight || turned))
    return { buffer: node.draft.at(value), transposed: adjoint !== !straight, stride: step };
  const copy = node.draft.dense(value);
  const copied = stride(spreadTo(copy));
  if (copied !== null) return { buffer: node.draft.at(copy), transposed: adjoint, stride: copied };
  const all = node.draft.dense(spreadTo(value));
  return { buffer: node.draft.at(all), transposed: adjoint, stride: rows * columns };
}

const matmul: Lowering = (node) => {
  const [a, b] = node.inputs;
  node.floats(a, b);
  // MatMul and BatchMatMul call the same thing by two names.
  const [adjA, adjB] = [node.bool('adj_x') || node.bool('transpose_a'), node.bool('adj_y') || node.bool('transpose_b')];
  const [rowsA, columnsA] = a.shape.slice(-2);
  const [rowsB, columnsB] = b.shape.slice(-2);
  const [M, K] = adjA ? [columnsA, rowsA] : [rowsA, columnsA];
  const N = adjB ? rowsB : columnsB;
  const batch =
    commonShape([a.shape.slice(0, -2), b.shape.slice(0, -2)]) ??
    node.fail(`[${a.shape.join()}] and [${b.shape.join()}] do not go together`);
  if (K !== (adjB ? columnsB : rowsB)) node.fail(`[${a.shape.join()}] and [${b.shape.join()}] do not go together`);
  const out = node.draft.fresh([...batch, M, N], 'float32');
  const left = side(node, a, batch, adjA);
  const right = side(node, b, batch, adjB);
  const count = sizeOf(batch);
  // One right side for all: the rows of all matrices are those of one.
  const joined = right.stride === 0 && !left.transposed && left.stride === M * K;
  const [matrices, rows] = joined ? [1, count * M] : [count, M];
  node.draft.emit('matmul', [
    ...[left.buffer, right.buffer, NONE, node.draft.at(out)],
    ...[matrices, rows, N, K, Number(left.transposed), Number(right.transposed)],
    ...[joined ? 0 : left.stride, right.stride],
  ]);
  return out;
};

type Axis = { readonly out: number; readonly before: number };

/** How many places a window has along an axis, and how many cells lie before the first one's. */
export function windows(
  node: Node,
  size: number,
  window: number,
  stride: number,
  dilation: number,
  explicit: number[],
): Axis {
  const reach = (window - 1) * dilation + 1;
  const padding = node.text('padding');
  if (padding === 'SAME') {
    const out = Math.ceil(size / stride);
    return { out, before: Math.max((out - 1) * stride + reach - size, 0) >> 1 };
  }
  if (padding !== 'VALID' && padding !== 'EXPLICIT') return node.fail(`padding ${padding}`);
  const [before, after] = padding === 'VALID' ? [0, 0] : explicit;
  const out = Math.floor((size + before + after - reach) / stride) + 1;
  return { out: Math.max(out, 0), before };
}

/** The numbers of a convolution instruction, of x [n, h, w, in] and filter [kh, kw, in, co]. */
function numbers(node: Node, x: readonly number[], filter: readonly number[]): { numbers: number[]; y: number[] } {
  if (node.text('data_format') === 'NCHW') node.fail('it is of NCHW');
  const [n, h, w, input] = x;
  const [kh, kw, filterInput, co] = filter;
  if (filterInput !== input) node.fail(`a filter of ${filterInput} channels for an image of ${input}`);
  const [, strideH, strideW] = node.ints('strides');
  const [, dilationH = 1, dilationW = 1] = node.ints('dilations');
  const explicit = node.ints('explicit_paddings');
  const rows = windows(node, h, kh, strideH, dilationH, explicit.slice(2, 4));
  const columns = windows(node, w, kw, strideW, dilationW, explicit.slice(4, 6));
  const places = [strideH, strideW, rows.before, columns.before, dilationH, dilationW];
  return {
    numbers: [n, h, w, input, kh, kw, ...places, rows.out, columns.out, co],
    y: [n, rows.out, columns.out, co],
  };
}

function sameShape(node: Node, value: Value, shape: readonly number[]): void {
  if (value.shape.join() !== shape.join()) node.fail(`[${value.shape.join()}] where [${shape.join()}] is expected`);
}

const conv2d: Lowering = (node) => {
  const [x, filter] = node.inputs;
  node.floats(x, filter);
  const { numbers: sizes, y } = numbers(node, node.rank(x, 4), node.rank(filter, 4));
  const [image, weights] = [node.draft.whole(x), node.draft.whole(filter)];
  const out = node.draft.fresh(y, 'float32');
  node.draft.emit('conv2d', [image, weights, NONE, node.draft.at(out), ...sizes]);
  return out;
};

const inputGradient: Lowering = (node) => {
  const [, filter, dy] = node.inputs;
  node.floats(filter, dy);
  const shape = node.known(0, 'sizes');
  const { numbers: sizes, y } = numbers(node, shape, node.rank(filter, 4));
  sameShape(node, dy, y);
  const [gradient, weights] = [node.draft.whole(dy), node.draft.whole(filter)];
  const dx = node.draft.fresh(shape, 'float32');
  node.draft.emit('conv2dInputGradient', [gradient, weights, NONE, node.draft.at(dx), ...sizes]);
  return dx;
};

const filterGradient: Lowering = (node) => {
  const [x, , dy] = node.inputs;
  node.floats(x, dy);
  const shape = node.known(1, 'sizes');
  const { numbers: sizes, y } = numbers(node, node.rank(x, 4), shape);
  sameShape(node, dy, y);
  const [image, gradient] = [node.draft.whole(x), node.draft.whole(dy)];
  const filter = node.draft.fresh(shape, 'float32');
  node.draft.emit('conv2dFilterGradient', [image, gradient, node.draft.at(filter), ...sizes]);
  return filter;
};

/** n h w in co, doubled, of an image [n, h, w] that the convolution makes. */
function winograd(node: Node, [n, h, w]: readonly number[], input: number, co: number): number[] {
  return [n, h, w, input, co, Number(node.bool('doubled'))];
}
const times = (node: Node): number => (node.bool('doubled') ? 2 : 1);

const conv3x3: Lowering = (node) => {
  const [x, filter, bias, residual] = node.inputs;
  const [n, h, w, input] = node.rank(x, 4);
  const [, , , co] = node.rank(filter, 4);
  const y = [n, h * times(node), w * times(node), co];
  const optional = (value: Value, shape: readonly number[]): number => {
    if (sizeOf(value.shape) === 0) return NONE;
    sameShape(node, value, shape);
    return node.draft.whole(value);
  };
  sameShape(node, filter, [3, 3, input, co]);
  const given = [node.draft.whole(x), node.draft.whole(filter), optional(bias, [co]), optional(residual, y)];
  const out = node.draft.fresh(y, 'float32');
  node.draft.emit('conv3x3', [...given, node.draft.at(out), ...winograd(node, y, input, co)]);
  return out;
};

const conv3x3InputGradient: Lowering = (node) => {
  const [dy, filter] = node.inputs;
  const [n, h, w, co] = node.rank(dy, 4);
  const [, , input] = node.rank(filter, 4);
  sameShape(node, filter, [3, 3, input, co]);
  const given = [node.draft.whole(dy), node.draft.whole(filter)];
  const dx = node.draft.fresh([n, h / times(node), w / times(node), input], 'float32');
  node.draft.emit('conv3x3InputGradient', [...given, node.draft.at(dx), ...winograd(node, dy.shape, input, co)]);
  return dx;
};

const conv3x3FilterGradient: Lowering = (node) => {
  const [x, dy] = node.inputs;
  const [n, h, w, input] = node.rank(x, 4);
  const [, , , co] = node.rank(dy, 4);
  sameShape(node, dy, [n, h * times(node), w * times(node), co]);
  const given = [node.draft.whole(x), node.draft.whole(dy)];
  const filter = node.draft.fresh([3, 3, input, co], 'float32');
  const bias = node.draft.fresh([co], 'float32');
  const made = [node.draft.at(filter), node.draft.at(bias)];
  node.draft.emit('conv3x3FilterGradient', [...given, ...made, ...winograd(node, dy.shape, input, co)]);
  return [filter, bias];
};

export const DENSE: Lowerings = {
  MatMul: matmul,
  BatchMatMul: matmul,
  BatchMatMulV2: matmul,
  Conv2D: conv2d,
  Conv2DBackpropInput: inputGradient,
  Conv2DBackpropFilter: filterGradient,
  LockstepConv3x3: conv3x3,
  LockstepConv3x3InputGradient: conv3x3InputGradient,
  LockstepConv3x3FilterGradient: conv3x3FilterGradient,
};
