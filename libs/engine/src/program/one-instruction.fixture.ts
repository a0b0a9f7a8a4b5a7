/** Runs one instruction by itself: by all kernels that the processor runs, on one, two and three threads, which must give the same bits. */
import assert from 'node:assert/strict';
import type { TypedArray } from '#src/device/binding.js';
import { testEngineOf } from '../engine.fixture.js';

const { programs } = testEngineOf({ engine: 'program' });
assert.ok(programs !== null);
const { native } = programs;

export const THREADS = [1, 2, 3];
const GUARDS = 16;
const GUARD = 0x7eadbeef;
const POISON = 0x7fc12345;

export type Kind = 'float' | 'int';
export type Output = { readonly kind: Kind; readonly size: number };
export const floats = (size: number): Output => ({ kind: 'float', size });
export const ints = (size: number): Output => ({ kind: 'int', size });

/** Cells with guards on both sides: what writes beyond its buffer changes them. */
class Guarded {
  private readonly memory: Int32Array;
  readonly cells: TypedArray;

  constructor(kind: Kind, size: number, from?: TypedArray) {
    this.memory = new Int32Array(size + 2 * GUARDS).fill(GUARD);
    const { buffer } = this.memory;
    this.cells = kind === 'int' ? new Int32Array(buffer, 4 * GUARDS, size) : new Float32Array(buffer, 4 * GUARDS, size);
    new Int32Array(buffer, 4 * GUARDS, size).fill(POISON);
    if (from !== undefined) this.cells.set(from);
  }

  assertWhole(label: string): void {
    const whole = (guards: Int32Array): boolean => guards.every((guard) => guard === GUARD);
    assert.ok(whole(this.memory.subarray(0, GUARDS)), `${label} writes before its buffer`);
    assert.ok(whole(this.memory.subarray(-GUARDS)), `${label} writes beyond its buffer`);
  }
}

/** The numbers of a float32's bits. */
export function bitsOf(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0];
}

/** Whether all cells have the same bits; any NaN is like any other. */
export function sameBits(a: TypedArray, b: TypedArray): boolean {
  return a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
}

/** What an instruction gives for a run that fails. */
export function failureOf(
  name: string,
  operands: readonly number[],
  inputs: readonly TypedArray[],
  size: number,
): number {
  return once(name, operands, inputs, [floats(size)], native.targets[0], 1).failure;
}

/** The outputs of `name`: buffers 0 .. are the inputs, and after these the outputs. */
export function runKernel(
  name: string,
  operands: readonly number[],
  inputs: readonly TypedArray[],
  outputs: readonly Output[],
): TypedArray[] {
  let first: TypedArray[] | undefined;
  for (const target of native.targets)
    for (const threads of THREADS) {
      const { cells, failure } = once(name, operands, inputs, outputs, target, threads);
      assert.equal(failure, 0);
      first ??= cells;
      cells.forEach((output, index) => {
        const at = output.findIndex((value, cell) => !Object.is(value, first?.[index][cell]));
        assert.equal(
          at,
          -1,
          `${name} (${operands.join()}): cell ${at} of output ${index} is ${output[at]} by ${target} on ${threads} threads, ${first?.[index][at]} before`,
        );
      });
    }
  assert.ok(first !== undefined);
  return first;
}

/** One output of floats. */
export function floatsOf(
  name: string,
  operands: readonly number[],
  inputs: readonly TypedArray[],
  size: number,
): Float32Array {
  const [output] = runKernel(name, operands, inputs, [floats(size)]);
  assert.ok(output instanceof Float32Array);
  return output;
}

/** One output of whole numbers. */
export function intsOf(
  name: string,
  operands: readonly number[],
  inputs: readonly TypedArray[],
  size: number,
): Int32Array {
  const [output] = runKernel(name, operands, inputs, [ints(size)]);
  assert.ok(output instanceof Int32Array);
  return output;
}

function once(
  name: string,
  operands: readonly number[],
  inputs: readonly TypedArray[],
  outputs: readonly Output[],
  target: string,
  threads: number,
): { readonly cells: TypedArray[]; readonly failure: number } {
  const given = inputs.map((input) => new Guarded(input instanceof Int32Array ? 'int' : 'float', input.length, input));
  const made = outputs.map(({ kind, size }) => new Guarded(kind, size));
  const buffers = [...given, ...made];
  const handle = native.create({
    target,
    threads,
    names: [name],
    code: Int32Array.of(0, operands.length, ...operands),
    stageEnds: Int32Array.of(1),
    buffers: Int32Array.from(buffers.flatMap((_, index) => [2 + index, 0])),
    arena: 0,
    constants: new Int32Array(0),
    inputs: inputs.length,
    outputs: outputs.length,
  });
  const failure = native.run(
    handle,
    0,
    buffers.map(({ cells }) => cells),
  );
  native.release(handle);
  for (const buffer of buffers) buffer.assertWhole(`${name} by ${target} (${operands.join()})`);
  given.forEach(({ cells }, index) => assert.ok(sameBits(cells, inputs[index]), `${name} changes its input ${index}`));
  return { cells: made.map(({ cells }) => cells), failure };
}
