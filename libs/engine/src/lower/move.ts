/** Ops that put cells elsewhere: mostly views, for which nothing is done. */
import type { Lowering, Lowerings, Node } from './node.js';
import { sizeOf } from '../record/tensor-spec.js';
import type { Value } from './values.js';

const handOn: Lowering = ({ inputs: [x] }) => x;

const reshape: Lowering = (node) => {
  const [x] = node.inputs;
  const wanted = node.known(1, 'sizes');
  const rest = wanted.reduce((product, size) => (size === -1 ? product : product * size), 1);
  return node.reshape(
    x,
    wanted.map((size) => (size === -1 ? sizeOf(x.shape) / rest : size)),
  );
};

const expandDims: Lowering = (node) => {
  const [x] = node.inputs;
  const axis = node.axis(node.knownOne(1, 'axis'), x.shape.length + 1);
  return {
    ...x,
    shape: x.shape.toSpliced(axis, 0, 1),
    strides: x.strides.toSpliced(axis, 0, 0),
  };
};

const squeeze: Lowering = (node) => {
  const [x] = node.inputs;
  const chosen = node.ints('squeeze_dims').map((axis) => node.axis(axis, x.shape.length));
  const stays = (size: number, axis: number): boolean => (chosen.length === 0 ? size !== 1 : !chosen.includes(axis));
  return node.reshape(x, x.shape.filter(stays));
};

const transpose: Lowering = (node) => {
  const [x] = node.inputs;
  const order = node.known(1, 'axes').map((axis) => node.axis(axis, x.shape.length));
  return { ...x, shape: order.map((axis) => x.shape[axis]), strides: order.map((axis) => x.strides[axis]) };
};

/** `size` places of `value` along `axis`, from `begin` on. */
export function part(value: Value, axis: number, begin: number, size: number, step = 1): Value {
  return {
    ...value,
    shape: value.shape.with(axis, size),
    strides: value.strides.with(axis, value.strides[axis] * step),
    offset: value.offset + begin * value.strides[axis],
  };
}

const splitSizes: Lowering = (node) => {
  const [x] = node.inputs;
  const axis = node.axis(node.knownOne(2, 'axis'), x.shape.length);
  return split(x, axis, node.known(1, 'sizes'));
};

const splitEvenly: Lowering = (node) => {
  const x = node.inputs[1];
  const axis = node.axis(node.knownOne(0, 'axis'), x.shape.length);
  const count = node.int('num_split');
  return split(x, axis, new Array<number>(count).fill(x.shape[axis] / count));
};

function split(x: Value, axis: number, sizes: readonly number[]): Value[] {
  const known = sizes.reduce((sum, size) => (size === -1 ? sum : sum + size), 0);
  let begin = 0;
  return sizes.map((given) => {
    const size = given === -1 ? x.shape[axis] - known : given;
    const piece = part(x, axis, begin, size);
    begin += size;
    return piece;
  });
}

const slice: Lowering = (node) => {
  const [x] = node.inputs;
  const begins = node.known(1, 'places');
  const sizes = node.known(2, 'sizes');
  return begins.reduce(
    (value, begin, axis) => part(value, axis, begin, sizes[axis] === -1 ? x.shape[axis] - begin : sizes[axis]),
    x,
  );
};

const stridedSlice: Lowering = (node) => {
  const [x] = node.inputs;
  const [begins, ends, steps] = [1, 2, 3].map((index) => node.known(index, 'places'));
  const mask = (name: string, axis: number): boolean => ((node.int(name, 0) >> axis) & 1) === 1;
  if (node.int('ellipsis_mask', 0) !== 0 || node.int('new_axis_mask', 0) !== 0) node.fail('a mask for other axes');
  let value = x;
  const shrunk: number[] = [];
  begins.forEach((given, axis) => {
    const size = x.shape[axis];
    const step = steps[axis];
    const within = (place: number): number => {
      const counted = place < 0 ? place + size : place;
      return step > 0 ? Math.min(Math.max(counted, 0), size) : Math.min(Math.max(counted, -1), size - 1);
    };
    if (mask('shrink_axis_mask', axis)) {
      shrunk.push(axis);
      value = part(value, axis, given < 0 ? given + size : given, 1);
      return;
    }
    const begin = mask('begin_mask', axis) ? (step > 0 ? 0 : size - 1) : within(given);
    const end = mask('end_mask', axis) ? (step > 0 ? size : -1) : within(ends[axis]);
    const count = Math.max(0, Math.ceil((end - begin) / step));
    if (step < 0 && count > 1) node.fail('a step backwards');
    value = part(value, axis, begin, count, step);
  });
  return node.reshape(
    value,
    value.shape.filter((_, axis) => !shrunk.includes(axis)),
  );
};

/** Copies the pieces side by side along `axis`; place.ts leaves out the copies that it can. */
function join(node: Node, pieces: readonly Value[], axis: number): Value {
  const [first] = pieces;
  const size = pieces.reduce((sum, piece) => sum + piece.shape[axis], 0);
  const out = node.draft.fresh(first.shape.with(axis, size), first.dtype);
  let begin = 0;
  for (const piece of pieces) {
    const place = part(out, axis, begin, piece.shape[axis]);
    if (piece.dtype !== out.dtype || piece.shape.some((one, other) => one !== place.shape[other]))
      node.fail(`[${piece.shape.join()}] does not go beside [${first.shape.join()}]`);
    if (sizeOf(piece.shape) > 0) node.draft.copy(piece, place);
    begin += piece.shape[axis];
  }
  return out;
}

const concat: Lowering = (node) => {
  const pieces = node.inputs.slice(0, -1);
  const axis = node.axis(node.knownOne(pieces.length, 'axis'), pieces[0].shape.length);
  return pieces.length === 1 ? pieces[0] : join(node, pieces, axis);
};

const pack: Lowering = (node) => {
  const [first] = node.inputs;
  const axis = node.axis(node.int('axis', 0), first.shape.length + 1);
  return join(
    node,
    node.inputs.map((piece) => node.reshape(piece, piece.shape.toSpliced(axis, 0, 1))),
    axis,
  );
};

const unpack: Lowering = (node) => {
  const [x] = node.inputs;
  const axis = node.axis(node.int('axis', 0), x.shape.length);
  return Array.from({ length: x.shape[axis] }, (_, index) =>
    node.reshape(part(x, axis, index, 1), x.shape.toSpliced(axis, 1)),
  );
};

const tile: Lowering = (node) => {
  const [x] = node.inputs;
  const times = node.known(1, 'multiples');
  // Each axis becomes two, how often and how far, of which the first does not move.
  const apart = node.reshape(
    x,
    x.shape.flatMap((size) => [1, size]),
  );
  const repeated = node.spread(
    apart,
    x.shape.flatMap((size, axis) => [times[axis], size]),
  );
  return node.reshape(
    repeated,
    x.shape.map((size, axis) => size * times[axis]),
  );
};

const broadcastTo: Lowering = (node) => node.spread(node.inputs[0], node.known(1, 'sizes'));

/** Every pixel as often as the image grows, where that is a whole number. */
const resizeNearest: Lowering = (node) => {
  const [x] = node.inputs;
  const [n, h, w, c] = node.rank(x, 4);
  const [rows, columns] = node.known(1, 'sizes');
  if (node.bool('align_corners') || node.bool('half_pixel_centers') || rows % h !== 0 || columns % w !== 0)
    return node.fail(`an image of ${h} x ${w} to ${rows} x ${columns}`);
  const apart = node.reshape(x, [n, h, 1, w, 1, c]);
  return node.reshape(node.spread(apart, [n, h, rows / h, w, columns / w, c]), [n, rows, columns, c]);
};

export const MOVES: Lowerings = {
  Identity: handOn,
  StopGradient: handOn,
  PreventGradient: handOn,
  Reshape: reshape,
  ExpandDims: expandDims,
  Squeeze: squeeze,
  Transpose: transpose,
  SplitV: splitSizes,
  Split: splitEvenly,
  Slice: slice,
  StridedSlice: stridedSlice,
  ConcatV2: concat,
  Pack: pack,
  Unpack: unpack,
  Tile: tile,
  BroadcastTo: broadcastTo,
  ResizeNearestNeighbor: resizeNearest,
};
