/**
 * The module that runs programs (native/program): loaded without TensorFlow, in any thread. Which kernels it has, and for which kinds
 * of processor, it says itself.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PROGRAMS_FILE } from '../device/engine-parts.mjs';
import type { TypedArray } from '../device/binding.js';
import { remedyFor, requireFile } from '../device/failures.js';
import { EngineError } from '../errors.js';

/** Kernels for one kind of processor. All have the same bits; `wide` is for tests: the form of avx512 without its instructions. */
export const KERNEL_TARGETS = ['plain', 'wide', 'avx2', 'avx512'] as const;
export type KernelTarget = (typeof KERNEL_TARGETS)[number];

/** A program in the module's form: docs/internals/programs.md says what the parts are. */
export type NativeSpec = {
  readonly target: string;
  readonly threads: number;
  readonly names: readonly string[];
  /** For each instruction: the number of its name, how many operands, the operands. */
  readonly code: Int32Array;
  readonly stageEnds: Int32Array;
  /** Pairs (space, offset). */
  readonly buffers: Int32Array;
  /** Cells. */
  readonly arena: number;
  readonly constants: Int32Array;
  readonly inputs: number;
  readonly outputs: number;
};

/** A loaded program; the module frees it when nothing refers to it any more, or at `release`. */
export type NativeHandle = { readonly opaque: 'a program' };

export interface NativePrograms {
  /** What this processor runs, from the slowest to the fastest. */
  readonly targets: readonly string[];
  readonly kernels: readonly string[];
  create(spec: NativeSpec): NativeHandle;
  /** Runs one stage; `arrays` are the inputs, then the outputs. 0, or why it could not go on: 1, an index is out of range. */
  run(handle: NativeHandle, stage: number, arrays: readonly TypedArray[]): number;
  /** Runs all stages, and adds each instruction's milliseconds to `times`. */
  measure(handle: NativeHandle, arrays: readonly TypedArray[], times: Float32Array): void;
  release(handle: NativeHandle): void;
  /** Bytes that the program holds beside its arrays. */
  bytesOf(handle: NativeHandle): number;
}

const require = createRequire(import.meta.url);
const FIX = 'run: node tools/engine/programs.mjs';
const NAMES = ['targets', 'kernels', 'create', 'run', 'measure', 'release', 'bytesOf'];

/** Loads the module from its folder. @throws {EngineError} E_ENGINE_MISSING, E_ENGINE_LOAD */
export function loadPrograms(directory: string): NativePrograms {
  const path = join(directory, PROGRAMS_FILE);
  requireFile(path, FIX);
  let loaded: unknown;
  try {
    loaded = require(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError('E_ENGINE_LOAD', `${path} could not be loaded: ${reason}; ${remedyFor(error, directory)}`, {
      cause: error,
    });
  }
  if (isPrograms(loaded)) return loaded;
  throw new EngineError('E_ENGINE_LOAD', `${path} is not what this build needs; ${FIX}`);
}

/**
 * The kernels that a process uses: those asked for, else the fastest that the processor runs.
 * @throws {EngineError} E_ENGINE_OPTION where the processor does not run them
 */
export function kernelTarget(programs: NativePrograms, wanted: string | undefined): string {
  const fastest = programs.targets[programs.targets.length - 1];
  if (wanted === undefined) return fastest;
  if (programs.targets.includes(wanted)) return wanted;
  const known = programs.targets.filter((target) => target !== 'wide').join(', ');
  throw new EngineError('E_ENGINE_OPTION', `this processor does not run the kernels ${wanted}: it runs ${known}`);
}

function isPrograms(value: unknown): value is NativePrograms {
  return typeof value === 'object' && value !== null && NAMES.every((name) => name in value);
}
