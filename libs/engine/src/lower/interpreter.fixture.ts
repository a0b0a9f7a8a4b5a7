/**
 * Runs programs in plain TypeScript, slowly: each instruction as the table in docs/internals/programs.md says, computed in float64 and
 * stored as float32. What native kernels and lowering are compared with.
 */
import type { TypedArray } from '#src/device/binding.js';
import { convolutions } from './interpreter-dense.fixture.js';
import { ARENA, CONSTANTS, INPUTS, type Program } from '#src/lower/program.js';

/** Cells from a buffer's start on, as floats and as whole numbers. */
export type Cells = { readonly floats: Float32Array; readonly ints: Int32Array };
/** The buffers of an instruction's operands, and the operands themselves. */
export type Call = {
  readonly at: (operand: number) => Cells;
  readonly has: (operand: number) => boolean;
  readonly n: readonly number[];
};
export type Instructions = Readonly<Record<string, (call: Call) => void>>;

const scratch = new DataView(new ArrayBuffer(4));
export function floatOf(bits: number): number {
  scratch.setInt32(0, bits);
  return scratch.getFloat32(0);
}

/** Places of all cells of a view, in row-major order. */
export function places(shape: readonly number[], strides: readonly number[]): number[] {
  let all = [0];
  shape.forEach((size, axis) => {
    all = all.flatMap((place) => Array.from({ length: size }, (_, index) => place + index * strides[axis]));
  });
  return all;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Abramowitz and Stegun 7.1.26, whose error is below 2e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - polynomial * Math.exp(-x * x));
}

function roundHalfEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

const UNARY: Readonly<Record<string, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  square: (x) => x * x,
  reciprocal: (x) => 1 / x,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  sigmoid,
  relu: (x) => (x > 0 ? x : 0 * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  erf,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundHalfEven,
};

const FLOATS: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
  squaredDifference: (a, b) => (a - b) ** 2,
  pow: (a, b) => a ** b,
  reluGradient: (dy, x) => (x > 0 ? dy : 0),
  sigmoidGradient: (y, dy) => dy * y * (1 - y),
  tanhGradient: (y, dy) => dy * (1 - y * y),
};

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  less: (a, b) => a < b,
  lessEqual: (a, b) => a <= b,
  greater: (a, b) => a > b,
  greaterEqual: (a, b) => a >= b,
  equal: (a, b) => a === b,
  notEqual: (a, b) => a !== b,
};

const INTS: Readonly<Record<string, (a: number, b: number) => number>> = {
  addInt: (a, b) => a + b,
  subInt: (a, b) => a - b,
  mulInt: Math.imul,
  maximumInt: Math.max,
  minimumInt: Math.min,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
};

function elementwise(inputs: number, cell: (call: Call, from: number[], to: number) => void): (call: Call) => void {
  return (call) => {
    const rank = call.n[inputs + 1];
    const part = (index: number): readonly number[] =>
      call.n.slice(inputs + 2 + index * rank, inputs + 2 + (index + 1) * rank);
    const from = Array.from({ length: inputs }, (_, index) => places(part(0), part(index + 1)));
    from[0].forEach((_, to) =>
      cell(
        call,
        from.map((all) => all[to]),
        to,
      ),
    );
  };
}

type Fold = { readonly start: number; readonly next: (sum: number, x: number) => number };
const FOLDS: Readonly<Record<string, Fold>> = {
  sum: { start: 0, next: (sum, x) => sum + x },
  mean: { start: 0, next: (sum, x) => sum + x },
  max: { start: -Infinity, next: Math.max },
  min: { start: Infinity, next: Math.min },
  prod: { start: 1, next: (product, x) => product * x },
  sumInt: { start: 0, next: (sum, x) => sum + x },
  maxInt: { start: -(2 ** 31), next: Math.max },
  minInt: { start: 2 ** 31 - 1, next: Math.min },
  any: { start: 0, next: (some, x) => some | x },
  every: { start: 1, next: (all, x) => all & x },
};

function views({ n }: Call): { kept: number[]; reduced: number[] } {
  const kept = n[2];
  const rest = n.slice(3 + 2 * kept);
  return {
    kept: places(n.slice(3, 3 + kept), n.slice(3 + kept, 3 + 2 * kept)),
    reduced: places(rest.slice(1, 1 + rest[0]), rest.slice(1 + rest[0], 1 + 2 * rest[0])),
  };
}

function fold(name: string, { start, next }: Fold): (call: Call) => void {
  const ofFloats = ['sum', 'mean', 'max', 'min', 'prod'].includes(name);
  return (call) => {
    const { kept, reduced } = views(call);
    const [x, out] = [call.at(0), call.at(1)];
    const [source, target] = ofFloats ? [x.floats, out.floats] : [x.ints, out.ints];
    kept.forEach((place, index) => {
      const result = reduced.reduce((sum, step) => next(sum, source[place + step]), start);
      target[index] = name === 'mean' ? result / reduced.length : result;
    });
  };
}

function firstPlace(better: (a: number, b: number) => boolean): (call: Call) => void {
  return (call) => {
    const { kept, reduced } = views(call);
    const [x, out] = [call.at(0).floats, call.at(1).ints];
    kept.forEach((place, index) => {
      let best = 0;
      reduced.forEach((step, one) => {
        if (better(x[place + step], x[place + reduced[best]])) best = one;
      });
      out[index] = best;
    });
  };
}

const entries = <T, R>(table: Readonly<Record<string, T>>, make: (one: T, name: string) => R): [string, R][] =>
  Object.entries(table).map(([name, one]) => [name, make(one, name)]);

const INSTRUCTIONS: Instructions = {
  ...convolutions,
  ...Object.fromEntries([
    ...entries(UNARY, (f) => ({ at, n }: Call) => {
      for (let cell = 0; cell < n[2]; cell++) at(1).floats[cell] = f(at(0).floats[cell]);
    }),
    ...entries(FLOATS, (f) =>
      elementwise(2, ({ at }, [a, b], to) => (at(2).floats[to] = f(at(0).floats[a], at(1).floats[b]))),
    ),
    ...entries(INTS, (f) => elementwise(2, ({ at }, [a, b], to) => (at(2).ints[to] = f(at(0).ints[a], at(1).ints[b])))),
    ...entries(COMPARISONS, (f) =>
      elementwise(2, ({ at }, [a, b], to) => (at(2).ints[to] = Number(f(at(0).floats[a], at(1).floats[b])))),
    ),
    ...entries(COMPARISONS, (f) =>
      elementwise(2, ({ at }, [a, b], to) => (at(2).ints[to] = Number(f(at(0).ints[a], at(1).ints[b])))),
    ).map(([name, run]): [string, (call: Call) => void] => [`${name}Int`, run]),
    ...entries(FOLDS, (one, name) => fold(name, one)),
  ]),
  argMax: firstPlace((a, b) => a > b),
  argMin: firstPlace((a, b) => a < b),
  isNan: ({ at, n }) => {
    for (let cell = 0; cell < n[2]; cell++) at(1).ints[cell] = Number(Number.isNaN(at(0).floats[cell]));
  },
  not: ({ at, n }) => {
    for (let cell = 0; cell < n[2]; cell++) at(1).ints[cell] = 1 - at(0).ints[cell];
  },
  toFloat: ({ at, n }) => {
    for (let cell = 0; cell < n[2]; cell++) at(1).floats[cell] = at(0).ints[cell];
  },
  toInt: ({ at, n }) => {
    for (let cell = 0; cell < n[2]; cell++) at(1).ints[cell] = Math.trunc(at(0).floats[cell]);
  },
  select: elementwise(3, ({ at }, [condition, a, b], to) => {
    at(3).ints[to] = at(0).ints[condition] === 0 ? at(2).ints[b] : at(1).ints[a];
  }),
  copy: ({ at, n }) => {
    const rank = n[2];
    const part = (index: number): readonly number[] => n.slice(3 + index * rank, 3 + (index + 1) * rank);
    const to = places(part(0), part(2));
    places(part(0), part(1)).forEach((from, index) => (at(1).ints[to[index]] = at(0).ints[from]));
  },
  fill: ({ at, n }) => {
    at(0).ints.fill(n[2], 0, n[1]);
  },
  softmax: ({ at, n }) => {
    const [, , rows, columns] = n;
    for (let row = 0; row < rows; row++) {
      const x = [...at(0).floats.subarray(row * columns, (row + 1) * columns)];
      const powers = x.map((one) => Math.exp(one - Math.max(...x)));
      const sum = powers.reduce((total, power) => total + power, 0);
      at(1).floats.set(
        powers.map((power) => power / sum),
        row * columns,
      );
    }
  },
  oneHot: ({ at, n }) => {
    const [, , count, depth, on, off] = n;
    for (let cell = 0; cell < count * depth; cell++)
      at(1).ints[cell] = at(0).ints[Math.floor(cell / depth)] === cell % depth ? on : off;
  },
  gather: ({ at, n }) => {
    const [, , , outer, axis, inner, count] = n;
    for (let before = 0; before < outer; before++)
      for (let index = 0; index < count; index++)
        for (let after = 0; after < inner; after++)
          at(2).ints[(before * count + index) * inner + after] =
            at(0).ints[(before * axis + at(1).ints[index]) * inner + after];
  },
  segmentSum: ({ at, n }) => {
    const [, , , count, inner, number] = n;
    at(2).floats.fill(0, 0, number * inner);
    for (let row = 0; row < count; row++)
      for (let cell = 0; cell < inner; cell++)
        if (at(1).ints[row] >= 0) at(2).floats[at(1).ints[row] * inner + cell] += at(0).floats[row * inner + cell];
  },
};

/** The outputs of `program` on `inputs`. Memory is filled with what would show if it were read before it is written. */
export function interpret(
  program: Program,
  inputs: readonly TypedArray[],
  onStage?: (stage: number) => void,
): TypedArray[] {
  const poison = (size: number): Int32Array => new Int32Array(size).fill(0x7fc12345);
  const outputs = program.outputs.map(({ shape }) => poison(shape.reduce((product, size) => product * size, 1)));
  const spaces = new Map<number, TypedArray>([
    [ARENA, poison(program.arena)],
    [CONSTANTS, program.constants],
    ...[...inputs, ...outputs].map((array, index): [number, TypedArray] => [INPUTS + index, array]),
  ]);
  const buffers = program.buffers.map(({ space, offset }): Cells => {
    const array = spaces.get(space) ?? new Int32Array();
    const start = array.byteOffset + 4 * offset;
    return {
      floats: new Float32Array(array.buffer, start, array.length - offset),
      ints: new Int32Array(array.buffer, start, array.length - offset),
    };
  });
  let stage = 0;
  program.instructions.forEach(({ name, operands }, index) => {
    const at = (operand: number): Cells => buffers[operands[operand]];
    if (!Object.hasOwn(INSTRUCTIONS, name)) throw new TypeError(`no instruction ${name}`);
    INSTRUCTIONS[name]({ at, has: (operand) => operands[operand] >= 0, n: operands });
    for (; program.stageEnds[stage] === index + 1; stage++) onStage?.(stage);
  });
  return outputs.map((cells, index) =>
    program.outputs[index].dtype === 'float32' ? new Float32Array(cells.buffer) : cells,
  );
}
