/** A program under construction: instructions whose buffers have storages, but no places yet (place.ts). */
import { accessOf } from './instructions.js';
import {
  cellsOf,
  denseStrides,
  isConstant,
  isDense,
  mergeAxes,
  spread,
  withoutRepeats,
  type CellType,
  type Storage,
  type Value,
} from './values.js';
import { sizeOf } from '../record/tensor-spec.js';

export type Buffer = { readonly storage: Storage; readonly offset: number };
/** An instruction whose operands may still change: a bias may move into it. */
export type Step = { readonly name: string; readonly operands: number[] };

/** Constants of more cells than this are made while the program runs, where an instruction can make them. */
const LARGE_CONSTANT = 2 ** 16;
/** Equal constants up to this many cells are kept once. */
const SHARED_CELLS = 2 ** 12;

export class Draft {
  readonly steps: Step[] = [];
  readonly buffers: Buffer[] = [];
  readonly #numbers = new Map<Storage, Map<number, number>>();
  /** Positions of the instructions that write to a storage. */
  readonly #writers = new Map<Storage, Set<number>>();
  readonly #copies = new Map<Storage, Map<string, Value>>();
  readonly #constants = new Map<string, Storage>();

  /** The number of the buffer at that place. */
  buffer(storage: Storage, offset: number): number {
    const numbers = this.#numbers.get(storage) ?? new Map<number, number>();
    this.#numbers.set(storage, numbers);
    const known = numbers.get(offset);
    if (known !== undefined) return known;
    const number = this.buffers.push({ storage, offset }) - 1;
    numbers.set(offset, number);
    return number;
  }

  at(value: Value): number {
    return this.buffer(value.storage, value.offset);
  }

  /** The buffer of the cells of `value`, side by side in row-major order. */
  whole(value: Value): number {
    return this.at(this.dense(value));
  }

  emit(name: string, operands: number[]): void {
    const step = { name, operands };
    const position = this.steps.push(step) - 1;
    for (const { operand } of accessOf(step).writes) {
      const { storage } = this.buffers[operands[operand]];
      this.#writers.set(storage, (this.#writers.get(storage) ?? new Set()).add(position));
    }
  }

  /** Positions of the instructions that write to a storage so far. */
  writers(storage: Storage): number[] {
    return [...(this.#writers.get(storage) ?? [])];
  }

  /** A tensor that the next instruction writes. */
  fresh(shape: readonly number[], dtype: CellType): Value {
    const storage: Storage = { kind: 'arena', size: sizeOf(shape) };
    return { shape, dtype, storage, offset: 0, strides: denseStrides(shape) };
  }

  /** A tensor of known cells; one cell is enough where all are equal. */
  constant(shape: readonly number[], dtype: CellType, cells: Int32Array): Value {
    const uniform = cells.length > 0 && cells.every((cell) => cell === cells[0]);
    const storage = this.#constant(uniform ? cells.slice(0, 1) : cells);
    return { shape, dtype, storage, offset: 0, strides: uniform ? shape.map(() => 0) : denseStrides(shape) };
  }

  #constant(cells: Int32Array): Storage {
    const fresh: Storage = { kind: 'constant', size: cells.length, cells };
    if (cells.length > SHARED_CELLS) return fresh;
    const key = cells.join();
    const known = this.#constants.get(key) ?? fresh;
    this.#constants.set(key, known);
    return known;
  }

  /** The value with its cells side by side: itself, or a copy, which is made once. */
  dense(value: Value): Value {
    if (isDense(value)) return value;
    const copies = this.#copies.get(value.storage) ?? new Map<string, Value>();
    this.#copies.set(value.storage, copies);
    const key = [value.offset, ...value.shape, ...value.strides].join();
    const copy = copies.get(key) ?? this.#copy(value);
    copies.set(key, copy);
    return copy;
  }

  #copy(value: Value): Value {
    const { shape, dtype } = value;
    const size = sizeOf(shape);
    if (isConstant(value) && size <= LARGE_CONSTANT) {
      const { cells } = value.storage;
      const storage = this.#constant(Int32Array.from(cellsOf(value), (place) => cells[place]));
      return { shape, dtype, storage, offset: 0, strides: denseStrides(shape) };
    }
    const copy = this.fresh(shape, dtype);
    if (isConstant(value) && value.strides.every((stride, axis) => stride === 0 || shape[axis] === 1))
      this.emit('fill', [this.at(copy), size, value.storage.cells[value.offset]]);
    else this.copy(value, copy);
    return copy;
  }

  /** Copies cells from a view to another one of the same shape. */
  copy(from: Value, to: Value): void {
    const { shape, strides } = mergeAxes(from.shape, [from.strides, to.strides]);
    this.emit('copy', [this.at(from), this.at(to), shape.length, ...shape, ...strides.flat()]);
  }

  /**
   * An instruction that computes each cell of its output from one of each input, all of one shape. Axes along which no input changes
   * are computed once.
   */
  elementwise(name: string, inputs: readonly Value[], shape: readonly number[], dtype: CellType): Value {
    const computed = withoutRepeats(
      shape,
      inputs.map(({ strides }) => strides),
    );
    const out = this.fresh(computed, dtype);
    this.combine(
      name,
      inputs.map((input) => ({ ...input, shape: computed })),
      out,
    );
    return spread(out, shape) ?? out;
  }

  /** The same into cells that are there already, side by side. */
  combine(name: string, inputs: readonly Value[], out: Value): void {
    const { shape, strides } = mergeAxes(
      out.shape,
      inputs.map((input) => input.strides),
    );
    this.emit(name, [
      ...inputs.map((input) => this.at(input)),
      this.at(out),
      shape.length,
      ...shape,
      ...strides.flat(),
    ]);
  }

  /** An instruction that computes each cell of its output from the same one of `input`, in whatever order they lie. */
  unary(name: string, input: Value, dtype: CellType): Value {
    const { shape } = input;
    const sizes = withoutRepeats(shape, [input.strides]);
    // The axes from the outermost in memory to the innermost: where the cells fill memory in that order, no copy is needed.
    const order = shape.map((_, axis) => axis).sort((a, b) => input.strides[b] - input.strides[a] || a - b);
    const placed = { shape: order.map((axis) => sizes[axis]), strides: order.map((axis) => input.strides[axis]) };
    const source = isDense(placed) ? input : this.dense(input);
    const storage = this.fresh(isDense(placed) ? sizes : shape, dtype).storage;
    const out: Value = {
      shape,
      dtype,
      storage,
      offset: 0,
      strides: isDense(placed) ? input.strides : denseStrides(shape),
    };
    this.emit(name, [this.at(source), this.at(out), storage.size]);
    return out;
  }
}
