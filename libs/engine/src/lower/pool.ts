/** Pooling. */
import { windows } from './dense.js';
import type { Lowering, Lowerings, Node } from './node.js';

function numbers(node: Node, x: readonly number[]): { numbers: number[]; y: number[] } {
  if (node.text('data_format') === 'NCHW') node.fail('it is of NCHW');
  const [n, h, w, c] = x;
  const [batch, kh, kw, channels] = node.ints('ksize');
  if (batch !== 1 || channels !== 1) node.fail('windows over images or channels');
  const [, strideH, strideW] = node.ints('strides');
  const explicit = node.ints('explicit_paddings');
  const rows = windows(node, h, kh, strideH, 1, explicit.slice(2, 4));
  const columns = windows(node, w, kw, strideW, 1, explicit.slice(4, 6));
  return {
    numbers: [n, h, w, c, kh, kw, strideH, strideW, rows.before, columns.before, rows.out, columns.out],
    y: [n, rows.out, columns.out, c],
  };
}

const pool =
  (name: string): Lowering =>
  (node) => {
    const { draft } = node;
    const [x] = node.inputs;
    node.floats(x);
    const { numbers: sizes, y } = numbers(node, node.rank(x, 4));
    const image = draft.whole(x);
    const out = draft.fresh(y, 'float32');
    draft.emit(name, [image, draft.at(out), ...sizes]);
    return out;
  };

const maxGradient: Lowering = (node) => {
  const { draft } = node;
  const [x, , dy] = node.inputs;
  node.floats(x, dy);
  const given = [draft.whole(x), draft.whole(dy)];
  const dx = draft.fresh(node.rank(x, 4), 'float32');
  draft.emit('maxPoolGradient', [...given, draft.at(dx), ...numbers(node, x.shape).numbers]);
  return dx;
};

const averageGradient: Lowering = (node) => {
  const { draft } = node;
  const [, dy] = node.inputs;
  node.floats(dy);
  const shape = node.known(0, 'sizes');
  const gradient = draft.whole(dy);
  const dx = draft.fresh(shape, 'float32');
  draft.emit('avgPoolGradient', [gradient, draft.at(dx), ...numbers(node, shape).numbers]);
  return dx;
};

export const POOL: Lowerings = {
  MaxPool: pool('maxPool'),
  AvgPool: pool('avgPool'),
  MaxPoolGrad: maxGradient,
  AvgPoolGrad: averageGradient,
};
