/** A node of a recorded graph as its lowering function sees it: attributes, inputs, and the draft that it adds instructions to. */
import { DataType } from '../device/binding.js';
import type { AttrMessage, NodeMessage } from '../record/saved-model-schema.js';
import { sizeOf } from '../record/tensor-spec.js';
import type { Draft } from './draft.js';
import { cellsOf, isConstant, isDense, reshaped, spread, type CellType, type Value } from './values.js';

/** What no kernel covers; the message says what about the op. */
export class Uncovered extends Error {}

export type Lowering = (node: Node) => Value | Value[];
export type Lowerings = Readonly<Record<string, Lowering>>;

export const CELL_TYPES: ReadonlyMap<number, CellType> = new Map([
  [DataType.float32, 'float32'],
  [DataType.int32, 'int32'],
  [DataType.int64, 'int32'],
  [DataType.bool, 'bool'],
  [DataType.uint8, 'bool'],
]);

const bits = new DataView(new ArrayBuffer(4));
export function bitsOf(number: number): number {
  bits.setFloat32(0, number);
  return bits.getInt32(0);
}
export function floatOf(cell: number): number {
  bits.setInt32(0, cell);
  return bits.getFloat32(0);
}

export class Node {
  readonly op: string;
  /** Whether what an input holds is read by this node alone. */
  readonly sole: readonly boolean[];
  readonly #message: NodeMessage;

  constructor(
    message: NodeMessage,
    readonly draft: Draft,
    readonly inputs: readonly Value[],
    sole: readonly boolean[],
  ) {
    this.#message = message;
    this.op = message.op;
    this.sole = sole;
  }

  fail(why: string): never {
    throw new Uncovered(`${this.op}: ${why}`);
  }

  #attribute(name: string): AttrMessage | undefined {
    return this.#message.attr[name];
  }

  int(name: string, otherwise?: number): number {
    const attribute = this.#attribute(name);
    if (attribute !== undefined && 'i' in attribute) return attribute.i;
    return otherwise ?? this.fail(`it has no ${name}`);
  }

  ints(name: string): number[] {
    const attribute = this.#attribute(name);
    return attribute !== undefined && 'list' in attribute ? (attribute.list.i ?? []) : [];
  }

  float(name: string): number {
    const attribute = this.#attribute(name);
    return attribute !== undefined && 'f' in attribute ? attribute.f : this.fail(`it has no ${name}`);
  }

  bool(name: string): boolean {
    const attribute = this.#attribute(name);
    return attribute !== undefined && 'b' in attribute && attribute.b;
  }

  text(name: string): string {
    const attribute = this.#attribute(name);
    return attribute !== undefined && 's' in attribute ? Buffer.from(attribute.s).toString() : '';
  }

  type(name: string): CellType {
    const attribute = this.#attribute(name);
    const number = attribute !== undefined && 'type' in attribute ? attribute.type : NaN;
    return CELL_TYPES.get(number) ?? this.fail(`its ${name} is a type that programs do not have`);
  }

  /** The numbers of an input that is known now: axes, shapes. */
  known(index: number, what: string): number[] {
    const value = this.inputs[index];
    if (!isConstant(value)) return this.fail(`its ${what} depend on values`);
    const { cells } = value.storage;
    return Array.from(cellsOf(value), (place) => (value.dtype === 'float32' ? floatOf(cells[place]) : cells[place]));
  }

  knownOne(index: number, what: string): number {
    return this.known(index, what)[0];
  }

  /** An axis, counted from the end where it is negative. */
  axis(axis: number, rank: number): number {
    const counted = axis < 0 ? axis + rank : axis;
    return counted >= 0 && counted < rank ? counted : this.fail(`it has no axis ${axis}`);
  }

  floats(...inputs: Value[]): void {
    if (inputs.some(({ dtype }) => dtype !== 'float32')) this.fail('it is not of float32');
  }

  rank(value: Value, rank: number): readonly number[] {
    return value.shape.length === rank
      ? value.shape
      : this.fail(`an input has ${value.shape.length} axes, not ${rank}`);
  }

  reshape(value: Value, shape: readonly number[]): Value {
    if (sizeOf(shape) !== sizeOf(value.shape)) return this.fail(`[${value.shape.join()}] is not [${shape.join()}]`);
    return reshaped(value, shape) ?? { ...this.draft.dense(value), shape, strides: denseOf(shape) };
  }

  spread(value: Value, shape: readonly number[]): Value {
    return spread(value, shape) ?? this.fail(`[${value.shape.join()}] cannot be spread to [${shape.join()}]`);
  }

  /** Whether the value is all of what one instruction made, as it made it. */
  isWhole(value: Value): boolean {
    return value.offset === 0 && isDense(value) && value.storage.size === sizeOf(value.shape);
  }
}

function denseOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}
