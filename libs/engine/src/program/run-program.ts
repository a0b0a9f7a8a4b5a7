/** A program in the native module's hands: loaded, run on arrays, freed. The same interface as a graph in TensorFlow's. */
import type { TypedArray } from '../device/binding.js';
import type { ProgramRunner } from '../device/load.js';
import { EngineError } from '../errors.js';
import type { Program } from '../lower/program.js';
import type { Graph } from '../record/graph.js';
import { arrayFor, checkInputs, checkTargets } from '../record/tensor-spec.js';
import type { NativeHandle, NativePrograms, NativeSpec } from './native-programs.js';

/** What a run that could not go on says; the numbers are native/program/kernel.h's, `Failure`. */
const FAILURES: Readonly<Record<number, string>> = {
  1: 'an index lies outside the tensor that it is an index of: look at what tf.gather is given',
};

/**
 * Loads a program. Its memory is taken now: a run allocates nothing but outputs without a target.
 * @throws {EngineError} E_ENGINE_MODEL where the module cannot load it
 */
export function loadProgram({ native, target }: ProgramRunner, threads: number, program: Program): Graph {
  const { inputs, outputs, info } = program;
  const handle = create(native, specOf(program, target, threads));
  const stages = program.stageEnds.length;
  return {
    inputs,
    outputs,
    info,
    run(data, targets, onStage) {
      checkInputs(inputs, data);
      checkTargets(outputs, targets);
      const results: TypedArray[] = outputs.map((spec, index) => targets?.[index] ?? arrayFor(spec));
      const arrays = [...data, ...results];
      for (let stage = 0; stage < stages; stage++) {
        const failure = native.run(handle, stage, arrays);
        if (failure !== 0) throw new EngineError('E_ENGINE_INPUT', FAILURES[failure] ?? `failure ${failure}`);
        onStage?.(stage);
      }
      return results;
    },
    dispose: () => native.release(handle),
  };
}

function specOf(program: Program, target: string, threads: number): NativeSpec {
  const names = [...new Set(program.instructions.map(({ name }) => name))];
  const numbers = new Map(names.map((name, index) => [name, index]));
  const code = program.instructions.flatMap(({ name, operands }) => [
    numbers.get(name) ?? NaN,
    operands.length,
    ...operands,
  ]);
  return {
    target,
    threads,
    names,
    code: Int32Array.from(code),
    stageEnds: Int32Array.from(program.stageEnds),
    buffers: Int32Array.from(program.buffers.flatMap(({ space, offset }) => [space, offset])),
    arena: program.arena,
    constants: program.constants,
    inputs: program.inputs.length,
    outputs: program.outputs.length,
  };
}

function create(native: NativePrograms, spec: NativeSpec): NativeHandle {
  try {
    return native.create(spec);
  } catch (error) {
    throw new EngineError(
      'E_ENGINE_MODEL',
      `the program cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
