/** Which cells each kind of instruction reads and writes, and where it may write over what it reads. */
import type { Instruction } from './program.js';
import { denseStrides, isDense } from './values.js';

/** Cells of the buffer in operand `operand`. */
export type Region = {
  readonly operand: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
};
export type Access = {
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
  /** Whether the output may be an input that has its size and is read whole, in order. */
  readonly inPlace: boolean;
};

export const UNARY: ReadonlySet<string> = new Set(
  `neg abs sign square reciprocal sqrt rsqrt exp expm1 log log1p sin cos tanh sigmoid relu elu softplus erf floor ceil round isNan
  not toFloat toInt`.split(/\s+/),
);
export const BINARY: ReadonlySet<string> = new Set(
  `add sub mul div maximum minimum squaredDifference pow addInt subInt mulInt maximumInt minimumInt less lessEqual greater
  greaterEqual equal notEqual lessInt lessEqualInt greaterInt greaterEqualInt equalInt notEqualInt and or reluGradient
  sigmoidGradient tanhGradient`.split(/\s+/),
);
export const REDUCE: ReadonlySet<string> = new Set(
  'sum mean max min prod sumInt maxInt minInt any every argMax argMin'.split(' '),
);

const dense = (operand: number, ...sizes: number[]): Region => {
  const size = sizes.reduce((product, one) => product * one, 1);
  return { operand, shape: [size], strides: [1] };
};

type Rule = (operands: readonly number[]) => { reads: Region[]; writes: Region[] };

/** `arrays` views over one shape: their buffers first, then the rank, the shape, and the strides of each. */
function strided(operands: readonly number[], arrays: number, buffers: number): Region[] {
  const rank = operands[buffers];
  const at = (index: number): readonly number[] =>
    operands.slice(buffers + 1 + index * rank, buffers + 1 + (index + 1) * rank);
  return Array.from({ length: arrays }, (_, index) => ({ operand: index, shape: at(0), strides: at(index + 1) }));
}

function elementwise(inputs: number): Rule {
  return (operands) => {
    const reads = strided(operands, inputs, inputs + 1);
    const { shape } = reads[0];
    return { reads, writes: [{ operand: inputs, shape, strides: denseStrides(shape) }] };
  };
}

const reduce: Rule = (operands) => {
  const rank = operands[2];
  const kept = operands.slice(3, 3 + rank);
  const keptStrides = operands.slice(3 + rank, 3 + 2 * rank);
  const rest = operands.slice(3 + 2 * rank);
  const reduced = rest.slice(1, 1 + rest[0]);
  const reducedStrides = rest.slice(1 + rest[0], 1 + 2 * rest[0]);
  return {
    reads: [{ operand: 0, shape: [...kept, ...reduced], strides: [...keptStrides, ...reducedStrides] }],
    writes: [dense(1, ...kept)],
  };
};

/** Sizes of a convolution from its fifth operand on; `pool` of pooling, which has no filter. */
function convolution(numbers: readonly number[]) {
  const [n, h, w, input, kh, kw, , , , , , , oh, ow, co] = numbers;
  return { x: [n, h, w, input], filter: [kh, kw, input, co], y: [n, oh, ow, co], input, co };
}
function pooling(numbers: readonly number[]) {
  const [n, h, w, c, , , , , , , oh, ow] = numbers;
  return { x: [n, h, w, c], y: [n, oh, ow, c] };
}
function winograd([n, h, w, input, co, doubled]: readonly number[]) {
  const times = doubled === 0 ? 1 : 2;
  return { x: [n, h / times, w / times, input], filter: [3, 3, input, co], y: [n, h, w, co], co };
}

const RULES: Readonly<Record<string, Rule>> = {
  matmul: (operands) => {
    const [batch, M, N, K, , , strideA, strideB] = operands.slice(4);
    return {
      reads: [
        { operand: 0, shape: [batch, M * K], strides: [strideA, 1] },
        { operand: 1, shape: [batch, K * N], strides: [strideB, 1] },
        dense(2, N),
      ],
      writes: [dense(3, batch, M, N)],
    };
  },
  conv2d: (operands) => {
    const { x, filter, y, co } = convolution(operands.slice(4));
    return { reads: [dense(0, ...x), dense(1, ...filter), dense(2, co)], writes: [dense(3, ...y)] };
  },
  conv2dInputGradient: (operands) => {
    const { x, filter, y, input } = convolution(operands.slice(4));
    return { reads: [dense(0, ...y), dense(1, ...filter), dense(2, input)], writes: [dense(3, ...x)] };
  },
  conv2dFilterGradient: (operands) => {
    const { x, filter, y } = convolution(operands.slice(3));
    return { reads: [dense(0, ...x), dense(1, ...y)], writes: [dense(2, ...filter)] };
  },
  conv3x3: (operands) => {
    const { x, filter, y, co } = winograd(operands.slice(5));
    return { reads: [dense(0, ...x), dense(1, ...filter), dense(2, co), dense(3, ...y)], writes: [dense(4, ...y)] };
  },
  conv3x3InputGradient: (operands) => {
    const { x, filter, y } = winograd(operands.slice(3));
    return { reads: [dense(0, ...y), dense(1, ...filter)], writes: [dense(2, ...x)] };
  },
  conv3x3FilterGradient: (operands) => {
    const { x, filter, y, co } = winograd(operands.slice(4));
    return { reads: [dense(0, ...x), dense(1, ...y)], writes: [dense(2, ...filter), dense(3, co)] };
  },
  groupNorm: (operands) => {
    const [n, pixels, channels] = operands.slice(6);
    return {
      reads: [dense(0, n, pixels, channels), dense(1, n, channels), dense(2, channels), dense(3, channels)],
      writes: [dense(4, n, pixels, channels), dense(5, n, 3, channels)],
    };
  },
  groupNormGradient: (operands) => {
    const [n, pixels, channels] = operands.slice(9);
    const image = (operand: number): Region => dense(operand, n, pixels, channels);
    return {
      reads: [image(0), image(1), dense(2, n, 3, channels), dense(3, channels), dense(4, channels)],
      writes: [image(5), dense(6, n, channels), dense(7, channels), dense(8, channels)],
    };
  },
  softmax: ([, , rows, columns]) => ({ reads: [dense(0, rows, columns)], writes: [dense(1, rows, columns)] }),
  select: elementwise(3),
  copy: (operands) => {
    const [read, write] = strided(operands, 2, 2);
    return { reads: [read], writes: [write] };
  },
  fill: ([, count]) => ({ reads: [], writes: [dense(0, count)] }),
  oneHot: ([, , count, depth]) => ({ reads: [dense(0, count)], writes: [dense(1, count, depth)] }),
  gather: ([, , , outer, axis, inner, count]) => ({
    reads: [dense(0, outer, axis, inner), dense(1, count)],
    writes: [dense(2, outer, count, inner)],
  }),
  segmentSum: ([, , , count, inner, number]) => ({
    reads: [dense(0, count, inner), dense(1, count)],
    writes: [dense(2, number, inner)],
  }),
  maxPool: (operands) => {
    const { x, y } = pooling(operands.slice(2));
    return { reads: [dense(0, ...x)], writes: [dense(1, ...y)] };
  },
  avgPool: (operands) => RULES['maxPool'](operands),
  maxPoolGradient: (operands) => {
    const { x, y } = pooling(operands.slice(3));
    return { reads: [dense(0, ...x), dense(1, ...y)], writes: [dense(2, ...x)] };
  },
  avgPoolGradient: (operands) => {
    const { x, y } = pooling(operands.slice(2));
    return { reads: [dense(0, ...y)], writes: [dense(1, ...x)] };
  },
};

/** How many operands there are, of instructions that always have as many. */
const COUNTS: Readonly<Record<string, number>> = {
  matmul: 12,
  conv2d: 19,
  conv2dInputGradient: 19,
  conv2dFilterGradient: 18,
  conv3x3: 11,
  conv3x3InputGradient: 9,
  conv3x3FilterGradient: 10,
  groupNorm: 12,
  groupNormGradient: 15,
  softmax: 4,
  fill: 3,
  oneHot: 6,
  gather: 7,
  segmentSum: 6,
  maxPool: 14,
  avgPool: 14,
  maxPoolGradient: 15,
  avgPoolGradient: 14,
};

/** How many operands an instruction has, which ranks among them may decide. */
function countOf(name: string, operands: readonly number[]): number {
  if (Object.hasOwn(COUNTS, name)) return COUNTS[name];
  if (UNARY.has(name)) return 3;
  if (REDUCE.has(name)) return 4 + 2 * operands[2] + 2 * operands[3 + 2 * operands[2]];
  const arrays = name === 'copy' ? 2 : BINARY.has(name) ? 3 : 4;
  // Of a copy the output has strides too.
  const views = name === 'copy' ? 2 : arrays - 1;
  return arrays + 1 + operands[arrays] * (1 + views);
}

/** Operands that may be left out. */
const OPTIONAL: Readonly<Record<string, readonly number[]>> = {
  matmul: [2],
  conv2d: [2],
  conv2dInputGradient: [2],
  conv3x3: [2, 3],
};

/** All instructions. */
export const INSTRUCTION_NAMES: readonly string[] = [...UNARY, ...BINARY, ...REDUCE, ...Object.keys(RULES)];

const unary: Rule = ([, , count]) => ({ reads: [dense(0, count)], writes: [dense(1, count)] });
const binary = elementwise(2);

function ruleOf(name: string): Rule | undefined {
  if (UNARY.has(name)) return unary;
  if (BINARY.has(name)) return binary;
  if (REDUCE.has(name)) return reduce;
  return Object.hasOwn(RULES, name) ? RULES[name] : undefined;
}

/** Buffers that are left out are in neither list. Throws a TypeError for an instruction that there is not, or of other operands. */
export function accessOf({ name, operands }: Instruction): Access {
  const rule = ruleOf(name);
  if (rule === undefined) throw new TypeError(`there is no instruction ${name}`);
  if (operands.length !== countOf(name, operands))
    throw new TypeError(`${name} does not take ${operands.length} operands`);
  const { reads, writes } = rule(operands);
  const given = ({ operand }: Region): boolean => operands[operand] >= 0;
  const leftOut = [...reads, ...writes].filter((region) => !given(region));
  if (!leftOut.every(({ operand }) => Object.hasOwn(OPTIONAL, name) && OPTIONAL[name].includes(operand)))
    throw new TypeError(`an operand of ${name} is left out that it needs`);
  return {
    reads: reads.filter(given),
    writes: writes.filter(given),
    inPlace: UNARY.has(name) || BINARY.has(name) || name === 'select',
  };
}

/** Where a region is all of its cells side by side: how many; else null. */
export function sideBySide(region: Region): number | null {
  return isDense(region) ? region.shape.reduce((product, size) => product * size, 1) : null;
}
