/** Lowers functions as tests want it: checked on the way, and run by the interpreter, by the native kernels, and eagerly. */
import assert from 'node:assert/strict';
import { checkPlacement } from './check.fixture.js';
import { interpret } from './interpreter.fixture.js';
import type { TypedArray } from '#src/device/binding.js';
import type { Engine } from '#src/device/load.js';
import { decodeProgram, encodeProgram } from '#src/lower/encode.js';
import { lower, placeGraph } from '#src/lower/lower.js';
import type { Program } from '#src/lower/program.js';
import { runEager } from '#src/program/eager.js';
import { loadProgram } from '#src/program/run-program.js';
import { describe } from '#src/record/graph.js';
import type { Stages } from '#src/record/stages.js';
import type { TensorSpec } from '#src/record/tensor-spec.js';
import { trace, type TensorFunction } from '#src/record/trace.js';
import { assertClose } from '../engine.fixture.js';

/** The program of a function, whose plan of memory is checked, and which has been bytes. */
export function programOf(engine: Engine, fn: TensorFunction, specs: readonly TensorSpec[], stages?: Stages): Program {
  const { savedModel } = trace(engine, fn, specs, { stages });
  const placed = placeGraph(describe(savedModel), stages);
  assert.ok('steps' in placed, 'uncovered' in placed ? placed.uncovered.join('; ') : '');
  checkPlacement(placed);
  const lowered = lower(savedModel, stages);
  assert.ok('program' in lowered);
  const read = decodeProgram(encodeProgram(lowered.program));
  assert.deepEqual(read, lowered.program);
  return read;
}

/** Throws unless interpreter, native kernels and the function run op by op give the same, but for rounding. */
export function assertSame(
  engine: Engine,
  fn: TensorFunction,
  specs: readonly TensorSpec[],
  inputs: readonly TypedArray[],
  tolerance: number,
  stages?: Stages,
): Program {
  const program = programOf(engine, fn, specs, stages);
  const expected = runEager(engine, fn, specs, inputs);
  interpret(program, inputs).forEach((output, index) =>
    assertClose(output, expected[index], tolerance, `interpreted output ${index}`),
  );
  assert.ok(engine.programs !== null);
  const native = loadProgram(engine.programs, 1, program);
  native
    .run(inputs)
    .forEach((output, index) => assertClose(output, expected[index], tolerance, `native output ${index}`));
  native.dispose();
  return program;
}

/** The names of a program's instructions, in order. */
export function namesOf({ instructions }: Program): string[] {
  return instructions.map(({ name }) => name);
}
