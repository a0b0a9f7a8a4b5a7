/** What a recorded graph becomes: instructions of our own kernels, with their places in memory (docs/internals/programs.md). */
import type { GraphInfo } from '../record/graph.js';
import type { TensorSpec } from '../record/tensor-spec.js';

/** A kernel's name and its operands: numbers of buffers (-1: left out), sizes, bits of float32. */
export type Instruction = { readonly name: string; readonly operands: readonly number[] };

/** Where a buffer lies: space 0 is the arena, 1 the constants, 2 .. the inputs, after these the outputs; offset in cells. */
export type BufferPlace = { readonly space: number; readonly offset: number };

/** Memory for what is neither input nor output nor constant, in bytes. */
export type Peak = {
  /** The arena's size. */
  readonly planned: number;
  /** What it would be if each result had a place of its own. */
  readonly withoutReuse: number;
};

export type ProgramInfo = GraphInfo & { readonly peak: Peak };

export type Program = {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly instructions: readonly Instruction[];
  /** How many instructions have run at the end of each stage. */
  readonly stageEnds: readonly number[];
  readonly buffers: readonly BufferPlace[];
  /** Cells. */
  readonly arena: number;
  readonly constants: Int32Array;
  readonly info: ProgramInfo;
};

export const ARENA = 0;
export const CONSTANTS = 1;
/** The space of the first input. */
export const INPUTS = 2;
