/** Sums, means and the like along axes. */
import { number } from './elementwise.js';
import type { Lowering, Lowerings, Node } from './node.js';
import { denseStrides, mergeAxes, spread, withoutRepeats, type CellType, type Value } from './values.js';

/** `value` reduced along `axes`, of which an axis of size 1 is left. */
export function along(node: Node, name: string, value: Value, axes: ReadonlySet<number>, dtype: CellType): Value {
  const keptShape = value.shape.map((size, axis) => (axes.has(axis) ? 1 : size));
  const keptStrides = value.strides.map((stride, axis) => (axes.has(axis) ? 0 : stride));
  const computed = withoutRepeats(keptShape, [keptStrides]);
  const reducedAxes = [...axes].sort((a, b) => a - b);
  const kept = mergeAxes(computed, [keptStrides]);
  const reduced = mergeAxes(
    reducedAxes.map((axis) => value.shape[axis]),
    [reducedAxes.map((axis) => value.strides[axis])],
  );
  const { draft } = node;
  const out = draft.fresh(computed, dtype);
  draft.emit(name, [
    ...[draft.at(value), draft.at(out)],
    ...[kept, reduced].flatMap(({ shape, strides }) => [shape.length, ...shape, ...strides[0]]),
  ]);
  return spread(out, keptShape) ?? out;
}

function dropped(node: Node, value: Value, axes: ReadonlySet<number>): Value {
  return node.reshape(
    value,
    value.shape.filter((_, axis) => !axes.has(axis)),
  );
}

/** Instructions for float32, int32 and truth values; null where there is none. */
const reduction =
  (floats: string | null, ints: string | null, truths: string | null): Lowering =>
  (node) => {
    const [value] = node.inputs;
    const name = { float32: floats, int32: ints, bool: truths }[value.dtype];
    if (name === null) return node.fail(`it is not of ${value.dtype}`);
    const axes = new Set(node.known(1, 'axes').map((axis) => node.axis(axis, value.shape.length)));
    // Of one cell there is nothing to add up.
    const some = [...axes].some((axis) => value.shape[axis] !== 1);
    const result = some ? along(node, name, value, axes, value.dtype) : value;
    return node.bool('keep_dims') ? result : dropped(node, result, axes);
  };

const place =
  (name: string): Lowering =>
  (node) => {
    const [value] = node.inputs;
    node.floats(value);
    const axes = new Set([node.axis(node.knownOne(1, 'axis'), value.shape.length)]);
    return dropped(node, along(node, name, value, axes, 'int32'), axes);
  };

const biasGradient: Lowering = (node) => {
  const [dy] = node.inputs;
  node.floats(dy);
  if (node.text('data_format') === 'NCHW') node.fail('it is of NCHW');
  const axes = new Set(dy.shape.slice(1).map((_, axis) => axis));
  return dropped(node, along(node, 'sum', dy, axes, 'float32'), axes);
};

const softmax: Lowering = (node) => {
  const [x] = node.inputs;
  node.floats(x);
  const { draft } = node;
  const columns = x.shape.at(-1) ?? 1;
  const out = draft.fresh(x.shape, 'float32');
  draft.emit('softmax', [draft.whole(x), draft.at(out), out.storage.size / columns, columns]);
  return out;
};

/** Of a long axis it would be an instruction for each place. */
const MOST_PLACES = 4096;

/** Each place is the one before it and the next cell, combined: an instruction a place, from `start`. */
const cumulative =
  (name: string, start: number): Lowering =>
  (node) => {
    const [x] = node.inputs;
    node.floats(x);
    const axis = node.axis(node.knownOne(1, 'axis'), x.shape.length);
    const places = x.shape[axis];
    if (places > MOST_PLACES) node.fail(`an axis of ${places} places`);
    const { draft } = node;
    const slice = (value: Value, index: number, along: number): Value => ({
      ...value,
      shape: value.shape.map((size, one) => (one === along ? 1 : size)),
      offset: value.offset + index * value.strides[along],
    });
    // The result has the axis in front, so that each place is whole.
    const order = [axis, ...x.shape.map((_, one) => one).filter((one) => one !== axis)];
    const shape = order.map((one) => x.shape[one]);
    const front: Value = { ...x, shape, strides: order.map((one) => x.strides[one]) };
    const out = draft.fresh(shape, 'float32');
    const reverse = node.bool('reverse');
    const exclusive = node.bool('exclusive');
    const nth = (index: number): number => (reverse ? places - 1 - index : index);
    for (let index = 0; index < places; index++) {
      const to = slice(out, nth(index), 0);
      if (index === 0) draft.copy(exclusive ? node.spread(number(node, start), to.shape) : slice(front, nth(0), 0), to);
      else
        draft.combine(name, [slice(out, nth(index - 1), 0), slice(front, nth(exclusive ? index - 1 : index), 0)], to);
    }
    const back = x.shape.map((_, one) => order.indexOf(one));
    const strides = denseStrides(shape);
    return { ...out, shape: x.shape, strides: back.map((one) => strides[one]) };
  };

export const REDUCTIONS: Lowerings = {
  Sum: reduction('sum', 'sumInt', null),
  Mean: reduction('mean', null, null),
  Max: reduction('max', 'maxInt', null),
  Min: reduction('min', 'minInt', null),
  Prod: reduction('prod', null, null),
  All: reduction(null, null, 'every'),
  Any: reduction(null, null, 'any'),
  ArgMax: place('argMax'),
  ArgMin: place('argMin'),
  BiasAddGrad: biasGradient,
  Softmax: softmax,
  Cumsum: cumulative('add', 0),
  Cumprod: cumulative('mul', 1),
};
