/** A program as bytes: a line of JSON, which tells all but the constants, then the constants, little-endian. */
import { accessOf } from './instructions.js';
import {
  ARENA,
  CONSTANTS,
  INPUTS,
  type BufferPlace,
  type Instruction,
  type Program,
  type ProgramInfo,
} from './program.js';
import { EngineError } from '../errors.js';
import { sizeOf, type TensorSpec } from '../record/tensor-spec.js';

/** Counts up with each change of what the bytes mean, or of what an instruction does. */
const FORMAT = 1;
const NEWLINE = 10;
const CELL_BYTES = 4;

/** Whether bytes are meant to be a program, and not a saved model, whose first byte is another. */
export function isProgram(bytes: Uint8Array): boolean {
  return bytes[0] === '{'.charCodeAt(0);
}

/** Equal programs have equal bytes. */
export function encodeProgram({ constants, inputs, outputs, instructions, ...rest }: Program): Uint8Array {
  const specs = (all: readonly TensorSpec[]) => all.map(({ shape, dtype }) => ({ shape, dtype }));
  const header = {
    format: FORMAT,
    inputs: specs(inputs),
    outputs: specs(outputs),
    instructions: instructions.map(({ name, operands }) => [name, ...operands]),
    stageEnds: rest.stageEnds,
    buffers: rest.buffers.map(({ space, offset }) => [space, offset]),
    arena: rest.arena,
    constants: constants.length,
    info: rest.info,
  };
  const bytes = new Uint8Array(constants.buffer, constants.byteOffset, constants.byteLength);
  return Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), bytes]);
}

/**
 * The inverse of encodeProgram. What it returns touches no cell outside its arena, constants, inputs and outputs.
 * @throws {EngineError} E_ENGINE_MODEL on anything else
 */
export function decodeProgram(bytes: Uint8Array): Program {
  const end = bytes.indexOf(NEWLINE);
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(bytes.subarray(0, Math.max(end, 0))).toString());
  } catch (error) {
    throw notAProgram(error);
  }
  const constants = cellsOf(Uint8Array.from(bytes.subarray(end + 1)));
  const program = { ...programOf(header), constants };
  if (field(header, 'constants') !== constants.length) throw notAProgram();
  checkBounds(program);
  return program;
}

/** Of bytes that lie at the start of their own memory. */
function cellsOf({ buffer, length }: Uint8Array<ArrayBuffer>): Int32Array {
  if (length % CELL_BYTES !== 0) throw notAProgram();
  return new Int32Array(buffer);
}

function notAProgram(cause?: unknown): EngineError {
  return new EngineError('E_ENGINE_MODEL', 'the bytes are not a program of this version; compile the function again', {
    cause,
  });
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) throw notAProgram();
  return Reflect.get(value, name);
}

function listOf<T>(value: unknown, item: (one: unknown) => T): T[] {
  if (!Array.isArray(value)) throw notAProgram();
  return value.map(item);
}

const INT32 = 2 ** 31;

function whole(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < -INT32 || value >= INT32) throw notAProgram();
  return value;
}

function count(value: unknown): number {
  const number = whole(value);
  if (number < 0) throw notAProgram();
  return number;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw notAProgram();
  return value;
}

function spec(value: unknown): TensorSpec {
  const dtype = field(value, 'dtype');
  if (dtype !== 'float32' && dtype !== 'int32') throw notAProgram();
  return { shape: listOf(field(value, 'shape'), count), dtype };
}

function instruction(value: unknown): Instruction {
  const [name, ...operands] = listOf(value, (one) => one);
  return { name: text(name), operands: operands.map(whole) };
}

function info(value: unknown): ProgramInfo {
  const ops = field(value, 'ops');
  if (typeof ops !== 'object' || ops === null) throw notAProgram();
  const peak = field(value, 'peak');
  return {
    nodes: count(field(value, 'nodes')),
    ops: Object.fromEntries(Object.entries(ops).map(([op, times]) => [op, count(times)])),
    bytes: count(field(value, 'bytes')),
    digest: text(field(value, 'digest')),
    peak: { planned: size(field(peak, 'planned')), withoutReuse: size(field(peak, 'withoutReuse')) },
  };
}

/** Bytes may be more than an int32 holds. */
function size(value: unknown): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw notAProgram();
  return Number(value);
}

function programOf(header: unknown): Omit<Program, 'constants'> {
  if (field(header, 'format') !== FORMAT) throw notAProgram();
  return {
    inputs: listOf(field(header, 'inputs'), spec),
    outputs: listOf(field(header, 'outputs'), spec),
    instructions: listOf(field(header, 'instructions'), instruction),
    stageEnds: listOf(field(header, 'stageEnds'), count),
    buffers: listOf(field(header, 'buffers'), (pair) => {
      const [space, offset] = listOf(pair, count);
      return { space, offset };
    }),
    arena: count(field(header, 'arena')),
    info: info(field(header, 'info')),
  };
}

/** Throws unless every instruction is one that there is, and stays within the spaces of its buffers. */
function checkBounds({ inputs, outputs, instructions, stageEnds, buffers, arena, constants }: Program): void {
  const spaces = new Map([
    [ARENA, arena],
    [CONSTANTS, constants.length],
    ...[...inputs, ...outputs].map(({ shape }, index): [number, number] => [INPUTS + index, sizeOf(shape)]),
  ]);
  const ends = [0, ...stageEnds];
  if (ends.some((end, index) => index > 0 && end < ends[index - 1]) || ends.at(-1) !== instructions.length)
    throw notAProgram();
  for (const one of instructions) {
    const { reads, writes } = accesses(one);
    for (const { operand, shape, strides } of [...reads, ...writes]) {
      const buffer: BufferPlace | undefined = buffers[one.operands[operand]];
      const cells = spaces.get(buffer?.space ?? NaN);
      if (buffer === undefined || cells === undefined) throw notAProgram();
      const last = shape.reduce((place, length, axis) => place + (length - 1) * strides[axis], buffer.offset);
      const inside = shape.every((length) => length > 0) && strides.every((stride) => stride >= 0) && last < cells;
      if (!inside) throw notAProgram();
    }
  }
}

function accesses(one: Instruction) {
  try {
    return accessOf(one);
  } catch (error) {
    throw notAProgram(error);
  }
}
