/**
 * The reducer thread, seen from the I/O thread. It sums and checks on shared memory: milliseconds in which the sockets must
 * not wait, and for which the compute thread, busy with a gradient that cannot be stopped, has no time.
 */
import type { TraceTarget } from '@lockstep/checkpoint';
import type { RunSettings } from '@lockstep/comm';
import type { ArenaBuffers } from './arena.js';
import type { StateMarks } from './passes.js';
import { ServiceThread, type FailedReply } from './service-thread.js';

/** What the reducer thread is started with. */
export interface ReducerSetup {
  readonly settings: RunSettings;
  readonly buffers: ArenaBuffers;
  readonly engineDirectory: string;
  readonly trace: TraceTarget | null;
}

/** A gradient at rest: where it lies, and its checksum (passes.ts) when it was made. */
export interface StoredGradient {
  readonly microbatch: number;
  /** float32 [P] */
  readonly buffer: SharedArrayBuffer;
  readonly checksum: number;
  /** [tensors], its own. */
  readonly exponents: readonly number[];
}

export type ReducerRequest =
  /** Digest and checksum of the state. */
  | { readonly kind: 'mark' }
  /** Check the weights against their checksum. */
  | { readonly kind: 'check'; readonly step: number; readonly weights: number }
  /** Sum the gradients into the arena, and check weights and gradients against their checksums. */
  | {
      readonly kind: 'fold';
      readonly generation: number;
      /** Of the state in memory, with the checksum of its weights. */
      readonly step: number;
      readonly weights: number;
      readonly gradients: readonly StoredGradient[];
      readonly exponents: readonly number[];
    };

export type ReducerReply =
  | { readonly kind: 'marked'; readonly marks: StateMarks }
  | { readonly kind: 'checked' }
  | { readonly kind: 'folded'; readonly generation: number }
  /** Memory that should be at rest has changed; the sum is of no use. */
  | { readonly kind: 'corrupt'; readonly what: string }
  | FailedReply;

/** Starts the reducer thread. */
export function startReducer(
  setup: ReducerSetup,
  onReply: (reply: ReducerReply) => void,
): ServiceThread<ReducerRequest, ReducerReply> {
  const module = new URL('./reducer-thread.js', import.meta.url);
  return new ServiceThread({ module, setup, deathCode: 'E_REDUCER_THREAD' }, onReply);
}
