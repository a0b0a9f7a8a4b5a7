/**
 * Passes over whole gradients and states in native code (native/passes.cpp), without TensorFlow: any thread may load them.
 * Each does what its JavaScript counterpart does, to the last bit, on shared or other memory. Arguments are not checked.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { PASSES_FILE } from './engine-parts.mjs';
import { EngineError } from '../errors.js';
import type { Arithmetic } from '@lockstep/base';
import { remedyFor, requireFile } from './failures.js';
import { cpuFlags, runsNative } from './identity.js';

/** Of a fingerprint whose array is read in pieces: the fingerprint itself, once the last piece is read, and what is under way. */
export const RUNNING_SUMS = 64;

/** P: numbers of a gradient; T: tensors; `ends` [T]: where each tensor ends; a fingerprint has 32 sums, in the run's `arithmetic`. */
export interface NativePasses {
  /** sums [32] = the fingerprint of `numbers`. */
  fingerprint(numbers: Float32Array, arithmetic: Arithmetic, sums: Uint32Array): void;
  /** largest [T] = the largest magnitude's bits of each tensor; sums [32] = the fingerprint. */
  describe(
    gradient: Float32Array,
    ends: Int32Array,
    arithmetic: Arithmetic,
    largest: Uint32Array,
    sums: Uint32Array,
  ): void;
  /**
   * sum [P] = the gradients, each times `scales` [T] and rounded, ties to even, for the numbers from .. to - 1; `from` is a
   * multiple of 32. sums [64 x gradients]: how far their fingerprints were at `from`, and then are at `to`; zeros at 0. At the array's
   * end the first 32 of each are the fingerprint.
   */
  fold(
    sum: Int32Array,
    gradients: readonly Float32Array[],
    ends: Int32Array,
    scales: Float64Array,
    arithmetic: Arithmetic,
    sums: Uint32Array,
    from: number,
    to: number,
  ): void;
  /** out [1] = the sum of the squares of float32(sum x factors), as libs/task adds them up. */
  squares(sum: Int32Array, ends: Int32Array, factors: Float64Array, arithmetic: Arithmetic, out: Float64Array): void;
  /**
   * Adam and the moving average, in place, from the gradient float32(sum x factors). `adam` [10] as libs/task's adamFactors
   * gives them; before, after [32 x 4] = the fingerprints of the four arrays as they were found and as they are left.
   */
  update(
    sum: Int32Array,
    ends: Int32Array,
    factors: Float64Array,
    weights: Float32Array,
    expAvg: Float32Array,
    expAvgSq: Float32Array,
    ema: Float32Array,
    adam: Float64Array,
    arithmetic: Arithmetic,
    before: Uint32Array,
    after: Uint32Array,
  ): void;
}

const require = createRequire(import.meta.url);
const FIX = 'run: node tools/engine/install.mjs --device cpu, or --device cuda for GPUs';
const NAMES = ['fingerprint', 'describe', 'fold', 'squares', 'update'] as const;

/**
 * The passes in the engine's folder; null where this processor cannot run them.
 *
 * @throws EngineError E_ENGINE_MISSING, E_ENGINE_LOAD
 */
export function loadPasses(directory: string): NativePasses | null {
  if (!runsNative(process.arch, cpuFlags(readFileSync('/proc/cpuinfo', 'utf8')))) return null;
  const path = join(directory, PASSES_FILE);
  requireFile(path, FIX);
  const loaded = requirePasses(path, directory);
  if (isPasses(loaded)) return loaded;
  throw new EngineError('E_ENGINE_LOAD', `${path} is not what this build needs; ${FIX}`);
}

function requirePasses(path: string, directory: string): unknown {
  try {
    return require(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError('E_ENGINE_LOAD', `${path} could not be loaded: ${reason}; ${remedyFor(error, directory)}`, {
      cause: error,
    });
  }
}

function isPasses(value: unknown): value is NativePasses {
  return typeof value === 'object' && value !== null && NAMES.every((name) => name in value);
}
