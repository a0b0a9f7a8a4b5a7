/**
 * The memory that the worker's threads share: the training state, the integer sum of gradients, and the gradients.
 * The compute thread alone writes the state while it applies a step; the I/O thread writes it only when it loads one. It
 * also reads state and gradients and writes the sum, which the ring then adds into. core.ts keeps these times
 * apart; checksums (passes.ts) tell whether what should be at rest has stayed as it was.
 */
import type { StateArrays } from '@lockstep/base';

const BYTES = 4;

export interface ArenaBuffers {
  readonly state: SharedArrayBuffer;
  readonly sum: SharedArrayBuffer;
}

export interface Arena {
  /** Four flat arrays of length P, in the order of the state digest. */
  readonly state: StateArrays;
  /** Int32, length P: gradients as multiples of their tensor's quantum. */
  readonly sum: Int32Array;
}

/** Shared memory for `parameters` numbers a state array. */
export function allocateArena(parameters: number): ArenaBuffers {
  return {
    state: new SharedArrayBuffer(4 * BYTES * parameters),
    sum: new SharedArrayBuffer(BYTES * parameters),
  };
}

/** Views on shared memory. */
export function openArena(buffers: ArenaBuffers): Arena {
  const length = buffers.sum.byteLength / BYTES;
  const part = (index: number): Float32Array => new Float32Array(buffers.state, index * BYTES * length, length);
  return {
    state: { weights: part(0), expAvg: part(1), expAvgSq: part(2), ema: part(3) },
    sum: new Int32Array(buffers.sum),
  };
}

/** Copies one state's numbers over another's. Lengths must be equal. */
export function copyState(from: StateArrays, to: StateArrays): void {
  to.weights.set(from.weights);
  to.expAvg.set(from.expAvg);
  to.expAvgSq.set(from.expAvgSq);
  to.ema.set(from.ema);
}

/** A private copy of a state. */
export function snapshotOf(state: StateArrays): StateArrays {
  return {
    weights: Float32Array.from(state.weights),
    expAvg: Float32Array.from(state.expAvg),
    expAvgSq: Float32Array.from(state.expAvgSq),
    ema: Float32Array.from(state.ema),
  };
}
