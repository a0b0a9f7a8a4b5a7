/** Constants of a recorded graph. */
import { DataType } from '../device/binding.js';
import { EngineError } from '../errors.js';
import type { NodeMessage } from '../record/saved-model-schema.js';
import { sizeOf } from '../record/tensor-spec.js';
import type { Draft } from './draft.js';
import { CELL_TYPES, Uncovered } from './node.js';
import type { Value } from './values.js';

/** The value of a Const node, whose bytes are little-endian. */
export function constantOf(draft: Draft, { name, attr }: NodeMessage): Value {
  const value = attr['value'];
  const tensor = 'tensor' in value ? value.tensor : undefined;
  const dtype = tensor === undefined ? undefined : CELL_TYPES.get(tensor.dtype);
  if (tensor === undefined || dtype === undefined) throw new Uncovered('Const: a type that programs do not have');
  const shape = (tensor.tensorShape.dim ?? []).map(({ size }) => size ?? 0);
  const bytes = Uint8Array.from(tensor.tensorContent ?? []);
  const cells = cellsOf(tensor.dtype, bytes);
  if (cells.length !== sizeOf(shape))
    throw new EngineError('E_ENGINE_MODEL', `the constant ${name} is damaged; compile the function again`);
  return draft.constant(shape, dtype, cells);
}

function cellsOf(dtype: number, bytes: Uint8Array<ArrayBuffer>): Int32Array {
  if (dtype === DataType.bool || dtype === DataType.uint8) return Int32Array.from(bytes);
  if (dtype !== DataType.int64) return new Int32Array(bytes.buffer, 0, bytes.length >> 2);
  const numbers = [...new BigInt64Array(bytes.buffer, 0, bytes.length >> 3)];
  if (numbers.some((number) => number !== BigInt.asIntN(32, number)))
    throw new Uncovered('Const: whole numbers of more than 32 bits');
  return Int32Array.from(numbers, Number);
}
