/** Tensors that are filled with a number or a pattern, and rows that are chosen by indices. */
import { bitsOf, type Lowering, type Lowerings, type Node } from './node.js';
import { part } from './move.js';
import { sizeOf } from '../record/tensor-spec.js';
import { cellsOf, denseStrides, isConstant, type Value } from './values.js';

const fill: Lowering = (node) => {
  const [, value] = node.inputs;
  return node.spread(value, node.known(0, 'sizes'));
};

const like =
  (number: 0 | 1): Lowering =>
  (node) => {
    const [{ dtype, shape }] = node.inputs;
    return node.spread(
      node.draft.constant([], dtype, Int32Array.of(dtype === 'float32' ? bitsOf(number) : number)),
      shape,
    );
  };

/** Of whole numbers, or of floats that are whole. */
const range: Lowering = (node) => {
  const [start, limit, step] = [0, 1, 2].map((index) => node.knownOne(index, 'places'));
  const { dtype } = node.inputs[0];
  if (![start, limit, step].every(Number.isSafeInteger)) node.fail('it is not of whole numbers');
  const cells = Int32Array.from({ length: Math.max(0, Math.ceil((limit - start) / step)) }, (_, index) =>
    dtype === 'float32' ? bitsOf(start + index * step) : start + index * step,
  );
  return node.draft.constant([cells.length], dtype, cells);
};

const pad: Lowering = (node) => {
  const [x, , given] = node.inputs;
  const edges = node.known(1, 'paddings');
  const shape = x.shape.map((size, axis) => edges[2 * axis] + size + edges[2 * axis + 1]);
  if (edges.every((edge) => edge === 0)) return x;
  const out = node.draft.fresh(shape, x.dtype);
  const value = given === undefined ? 0 : node.knownOne(2, 'values');
  node.draft.emit('fill', [node.draft.at(out), sizeOf(shape), x.dtype === 'float32' ? bitsOf(value) : value]);
  node.draft.copy(
    x,
    x.shape.reduce((inner, size, axis) => part(inner, axis, edges[2 * axis], size), out),
  );
  return out;
};

const oneHot: Lowering = (node) => {
  const [indices] = node.inputs;
  const { draft } = node;
  if (indices.dtype !== 'int32') node.fail(`indices of ${indices.dtype}`);
  const depth = node.knownOne(1, 'depth');
  const { dtype } = node.inputs[2];
  const [on, off] = [2, 3].map((index) => node.knownOne(index, 'values'));
  const cell = (value: number): number => (dtype === 'float32' ? bitsOf(value) : value);
  const out = draft.fresh([...indices.shape, depth], dtype);
  draft.emit('oneHot', [draft.whole(indices), draft.at(out), sizeOf(indices.shape), depth, cell(on), cell(off)]);
  const axis = node.axis(node.int('axis', -1), out.shape.length);
  const order = out.shape
    .map((_, index) => index)
    .slice(0, -1)
    .toSpliced(axis, 0, out.shape.length - 1);
  return { ...out, shape: order.map((one) => out.shape[one]), strides: order.map((one) => out.strides[one]) };
};

const gather: Lowering = (node) => {
  const [x, indices] = node.inputs;
  const { draft } = node;
  const axis = node.inputs.length > 2 ? node.axis(node.knownOne(2, 'axis'), x.shape.length) : 0;
  if (node.int('batch_dims', 0) !== 0) node.fail('batches of indices');
  if (indices.dtype !== 'int32') node.fail(`indices of ${indices.dtype}`);
  const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
  const given = [draft.whole(x), draft.whole(indices)];
  const out = draft.fresh([...before, ...indices.shape, ...after], x.dtype);
  const sizes = [sizeOf(before), x.shape[axis], sizeOf(after), sizeOf(indices.shape)];
  draft.emit('gather', [...given, draft.at(out), ...sizes]);
  return out;
};

/** The places `chosen` along an axis, in that order. */
function pick(node: Node, x: Value, axis: number, chosen: readonly number[]): Value {
  const { draft } = node;
  const shape = x.shape.with(axis, chosen.length);
  const given = [draft.whole(x), draft.whole(draft.constant([chosen.length], 'int32', Int32Array.from(chosen)))];
  const out = draft.fresh(shape, x.dtype);
  const sizes = [sizeOf(shape.slice(0, axis)), x.shape[axis], sizeOf(shape.slice(axis + 1)), chosen.length];
  draft.emit('gather', [...given, draft.at(out), ...sizes]);
  return out;
}

const places = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

const reverse: Lowering = (node) => {
  const [x] = node.inputs;
  const axes = node.known(1, 'axes').map((axis) => node.axis(axis, x.shape.length));
  return axes.reduce((value, axis) => pick(node, value, axis, places(x.shape[axis]).reverse()), x);
};

/** The edges are what a mirror shows that stands on the last cell, or behind it. */
const mirrorPad: Lowering = (node) => {
  const [x] = node.inputs;
  const edges = node.known(1, 'paddings');
  const behind = node.text('mode') === 'SYMMETRIC' ? 1 : 0;
  return x.shape.reduce((value, size, axis) => {
    const [before, after] = edges.slice(2 * axis, 2 * axis + 2);
    if (before === 0 && after === 0) return value;
    const chosen = [
      ...places(before).map((index) => before - index - behind),
      ...places(size),
      ...places(after).map((index) => size - 2 - index + behind),
    ];
    return pick(node, value, axis, chosen);
  }, x);
};

const segmentSum: Lowering = (node) => {
  const [x, segments] = node.inputs;
  const { draft } = node;
  node.floats(x);
  if (segments.dtype !== 'int32') node.fail(`segments of ${segments.dtype}`);
  const number = node.knownOne(2, 'number of segments');
  const inner = x.shape.slice(segments.shape.length);
  const given = [draft.whole(x), draft.whole(segments)];
  const out = draft.fresh([number, ...inner], x.dtype);
  draft.emit('segmentSum', [...given, draft.at(out), sizeOf(segments.shape), sizeOf(inner), number]);
  return out;
};

/** Zeros beside the diagonals from -lower to upper, of a constant. */
const bandPart: Lowering = (node) => {
  const [x] = node.inputs;
  if (!isConstant(x)) return node.fail('its input depends on values');
  const [lower, upper] = [1, 2].map((index) => node.knownOne(index, 'diagonals'));
  const [rows, columns] = x.shape.slice(-2);
  const { cells } = x.storage;
  let index = 0;
  const kept = Int32Array.from(cellsOf(x), (place) => {
    const row = Math.floor(index / columns) % rows;
    const column = index++ % columns;
    const inside = (lower < 0 || row - column <= lower) && (upper < 0 || column - row <= upper);
    return inside ? cells[place] : 0;
  });
  return { ...node.draft.constant([kept.length], x.dtype, kept), shape: x.shape, strides: denseStrides(x.shape) };
};

export const FILLS: Lowerings = {
  Fill: fill,
  ZerosLike: like(0),
  OnesLike: like(1),
  Range: range,
  Pad: pad,
  PadV2: pad,
  MatrixBandPart: bandPart,
  OneHot: oneHot,
  GatherV2: gather,
  ReverseV2: reverse,
  MirrorPad: mirrorPad,
  UnsortedSegmentSum: segmentSum,
};
