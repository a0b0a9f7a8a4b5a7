/** Ops that compute each cell from the cells of its inputs in that place. */
import { bitsOf, floatOf, type Lowering, type Lowerings, type Node } from './node.js';
import { cellsOf, commonShape, isConstant, withoutRepeats, type CellType, type Value } from './values.js';
import { withBias, withResidual } from './dense-end.js';

const unary =
  (name: string, result?: CellType): Lowering =>
  (node) => {
    const [x] = node.inputs;
    node.floats(x);
    return node.draft.unary(name, x, result ?? 'float32');
  };

/** Instructions of a binary op for float32 and for int32; null where there is none. */
const binary =
  (floats: string | null, ints: string | null, result?: CellType): Lowering =>
  (node) => {
    const [a, b] = node.inputs;
    const name = a.dtype === 'float32' ? floats : ints;
    if (name === null) return node.fail(`it is not of ${a.dtype === 'float32' ? 'int32' : 'float32'}`);
    return combine(node, name, a, b, result ?? a.dtype);
  };

export function combine(node: Node, name: string, a: Value, b: Value, dtype: CellType): Value {
  if (a.dtype !== b.dtype) return node.fail(`it takes ${a.dtype} and ${b.dtype}`);
  const shape =
    commonShape([a.shape, b.shape]) ?? node.fail(`[${a.shape.join()}] and [${b.shape.join()}] do not go together`);
  const inputs = [node.spread(a, shape), node.spread(b, shape)];
  return folded(node, name, inputs, shape, dtype) ?? node.draft.elementwise(name, inputs, shape, dtype);
}

/** A single float32 number, to be combined with others. */
export function number(node: Node, value: number): Value {
  return node.draft.constant([], 'float32', Int32Array.of(bitsOf(value)));
}

/** Arithmetic that rounds once is the same in JavaScript, whose float64 then rounds to float32. */
const EXACT: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
};

/** The result where both inputs are constants, and the arithmetic is exact. */
function folded(node: Node, name: string, inputs: Value[], shape: readonly number[], dtype: CellType): Value | null {
  const [a, b] = inputs;
  if (!Object.hasOwn(EXACT, name) || !isConstant(a) || !isConstant(b)) return null;
  const sizes = withoutRepeats(shape, [a.strides, b.strides]);
  const left = [...cellsOf({ ...a, shape: sizes })];
  const right = [...cellsOf({ ...b, shape: sizes })];
  const cells = Int32Array.from(left, (place, index) =>
    bitsOf(EXACT[name](floatOf(a.storage.cells[place]), floatOf(b.storage.cells[right[index]]))),
  );
  return node.spread(node.draft.constant(sizes, dtype, cells), shape);
}

const add: Lowering = (node) => {
  const [a, b] = node.inputs;
  return (
    withBias(node, 0, b) ?? withBias(node, 1, a) ?? withResidual(node, 0, b) ?? withResidual(node, 1, a) ?? sum(node)
  );
};
const sum = binary('add', 'addInt');

const negate: Lowering = (node) => {
  const [x] = node.inputs;
  if (x.dtype === 'float32') return isConstant(x) ? negatedConstant(node, x) : node.draft.unary('neg', x, x.dtype);
  return combine(node, 'subInt', node.draft.constant([], x.dtype, Int32Array.of(0)), x, x.dtype);
};

function negatedConstant(node: Node, x: Value): Value {
  if (!isConstant(x)) return node.fail('it is not a constant');
  const sizes = withoutRepeats(x.shape, [x.strides]);
  const { cells } = x.storage;
  const negated = Int32Array.from(cellsOf({ ...x, shape: sizes }), (place) => cells[place] ^ 0x80000000);
  return node.spread(node.draft.constant(sizes, x.dtype, negated), x.shape);
}

const square: Lowering = (node) => {
  const [x] = node.inputs;
  return x.dtype === 'float32' ? node.draft.unary('square', x, x.dtype) : combine(node, 'mulInt', x, x, x.dtype);
};

const absolute: Lowering = (node) => {
  const [x] = node.inputs;
  if (x.dtype === 'float32') return node.draft.unary('abs', x, x.dtype);
  const zero = node.draft.constant([], x.dtype, Int32Array.of(0));
  return combine(node, 'maximumInt', x, combine(node, 'subInt', zero, x, x.dtype), x.dtype);
};

const relu: Lowering = (node) => {
  const [x] = node.inputs;
  if (x.dtype === 'float32') return node.draft.unary('relu', x, x.dtype);
  return combine(node, 'maximumInt', x, node.draft.constant([], x.dtype, Int32Array.of(0)), x.dtype);
};

export function choose(node: Node, condition: Value, a: Value, b: Value): Value {
  const shape =
    commonShape([condition.shape, a.shape, b.shape]) ??
    node.fail(`[${[condition, a, b].map((value) => value.shape.join()).join('], [')}] do not go together`);
  const inputs = [condition, a, b].map((value) => node.spread(value, shape));
  return node.draft.elementwise('select', inputs, shape, a.dtype);
}

/** TensorFlow's older Select takes a condition for each row too. */
const select: Lowering = (node) => {
  const [condition, a, b] = node.inputs;
  const rows = condition.shape.length === 1 && a.shape.length > 1;
  return choose(
    node,
    rows ? node.reshape(condition, [condition.shape[0], ...a.shape.slice(1).map(() => 1)]) : condition,
    a,
    b,
  );
};

const cast: Lowering = (node) => {
  const [x] = node.inputs;
  const to = node.type('DstT');
  if (to === x.dtype) return x;
  if (to === 'bool') {
    const zero = node.draft.constant([], x.dtype, Int32Array.of(0));
    return combine(node, x.dtype === 'float32' ? 'notEqual' : 'notEqualInt', x, zero, 'bool');
  }
  if (to === 'int32') return x.dtype === 'bool' ? { ...x, dtype: to } : node.draft.unary('toInt', x, to);
  if (!isConstant(x)) return node.draft.unary('toFloat', x, to);
  const sizes = withoutRepeats(x.shape, [x.strides]);
  const { cells } = x.storage;
  const floats = Int32Array.from(cellsOf({ ...x, shape: sizes }), (place) => bitsOf(cells[place]));
  return node.spread(node.draft.constant(sizes, to, floats), x.shape);
};

const logical =
  (name: string): Lowering =>
  ({ draft, inputs: [x] }) =>
    draft.unary(name, x, 'bool');

export const ELEMENTWISE: Lowerings = {
  Add: add,
  AddV2: add,
  BiasAdd: (node) => (node.text('data_format') === 'NCHW' ? node.fail('it is of NCHW') : add(node)),
  AddN: (node) => node.inputs.reduce((total, one) => combine(node, 'add', total, one, 'float32')),
  Sub: binary('sub', 'subInt'),
  Mul: binary('mul', 'mulInt'),
  RealDiv: binary('div', null),
  Div: binary('div', null),
  Maximum: binary('maximum', 'maximumInt'),
  Minimum: binary('minimum', 'minimumInt'),
  SquaredDifference: binary('squaredDifference', null),
  Pow: binary('pow', null),
  Less: binary('less', 'lessInt', 'bool'),
  LessEqual: binary('lessEqual', 'lessEqualInt', 'bool'),
  Greater: binary('greater', 'greaterInt', 'bool'),
  GreaterEqual: binary('greaterEqual', 'greaterEqualInt', 'bool'),
  Equal: binary('equal', 'equalInt', 'bool'),
  NotEqual: binary('notEqual', 'notEqualInt', 'bool'),
  LogicalAnd: binary(null, 'and', 'bool'),
  LogicalOr: binary(null, 'or', 'bool'),
  LogicalNot: logical('not'),
  ReluGrad: binary('reluGradient', null),
  SigmoidGrad: binary('sigmoidGradient', null),
  TanhGrad: binary('tanhGradient', null),
  Neg: negate,
  Abs: absolute,
  Square: square,
  Relu: relu,
  Sign: unary('sign'),
  Reciprocal: unary('reciprocal'),
  Sqrt: unary('sqrt'),
  Rsqrt: unary('rsqrt'),
  Exp: unary('exp'),
  Expm1: unary('expm1'),
  Log: unary('log'),
  Log1p: unary('log1p'),
  Sin: unary('sin'),
  Cos: unary('cos'),
  Tanh: unary('tanh'),
  Sigmoid: unary('sigmoid'),
  Elu: unary('elu'),
  Softplus: unary('softplus'),
  Erf: unary('erf'),
  Floor: unary('floor'),
  Ceil: unary('ceil'),
  Round: unary('round'),
  IsNan: unary('isNan', 'bool'),
  Select: select,
  SelectV2: select,
  Cast: cast,
};
