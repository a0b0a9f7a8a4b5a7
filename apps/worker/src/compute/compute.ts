/**
 * The compute thread, seen from the I/O thread. Tensor calls block their thread, so they have one of their own: sockets
 * and heartbeats go on while a gradient is computed.
 */
import type { TraceTarget } from '@lockstep/run';
import type { EngineDescription, RunSettings } from '@lockstep/comm';
import type { ArenaBuffers } from './arena.js';
import type { BucketMarks, StateMarks } from './passes.js';
import type { Wanted } from '../decide/state.js';
import { ServiceThread, type FailedReply } from './service-thread.js';

/**
 * A request for gradients has a number, `job`, that rises from request to request. `halted` holds one int32: no gradient of a
 * request up to that number is begun any more. It is looked at between gradients, when no message can be.
 */
export type ComputeRequest =
  | {
      readonly kind: 'initialise';
      readonly settings: RunSettings;
      readonly buffers: ArenaBuffers;
      readonly halted: SharedArrayBuffer;
    }
  /** `digest`: also hash the gradient's bytes. */
  /** One after another, with a reply each. */
  | { readonly kind: 'compute'; readonly step: number; readonly wanted: readonly Wanted[]; readonly job: number }
  /** Make the inputs of these microbatches ahead of time. There is no reply. */
  | { readonly kind: 'prepare'; readonly step: number; readonly microbatches: readonly number[] }
  | {
      readonly kind: 'apply';
      readonly step: number;
      readonly exponents: readonly number[];
      readonly skip: boolean;
      /** Of the state, which it must still have. */
      readonly digest: string;
      /** Of the next step, computed after it. */
      readonly then: readonly Wanted[];
      readonly job: number;
    };

/** The early bucket of the gradient that is being computed is there (buckets.ts); said of the last of a request's. */
export interface EarlyReply {
  readonly kind: 'early';
  readonly step: number;
  readonly microbatch: number;
  /** The gradient, float32 [P]; the bucket's content stands until the step is applied. */
  readonly buffer: SharedArrayBuffer;
  readonly early: BucketMarks;
}

export interface ComputedReply {
  readonly kind: 'computed';
  readonly step: number;
  readonly microbatch: number;
  /** The gradient, float32 [P]; its content stands until the step is applied. */
  readonly buffer: SharedArrayBuffer;
  readonly early: BucketMarks;
  readonly late: BucketMarks;
  readonly loss: number | null;
  readonly figures: readonly number[];
  readonly samples: string;
  /** sha256 of the gradient's bytes, if it was asked for. */
  readonly digest: string | null;
  /** The next gradient has begun. */
  readonly goesOn: boolean;
  readonly milliseconds: number;
  /**
   * Processor time that the process (all its threads: Node measures no finer) used meanwhile. Well below
   * milliseconds x threads: the process does not get its share of the processor.
   */
  readonly cpuMilliseconds: number;
}

export type ComputeReply =
  | {
      readonly kind: 'initialised';
      readonly marks: StateMarks;
      readonly probe: string;
      readonly engine: EngineDescription;
    }
  | EarlyReply
  | ComputedReply
  /** `marks`: of the state after the step. */
  | { readonly kind: 'applied'; readonly step: number; readonly marks: StateMarks; readonly goesOn: boolean }
  /** The state at rest had changed; what is there now is of no use. */
  | { readonly kind: 'corrupt'; readonly what: string }
  | FailedReply;

/** What the compute thread is started with. */
export interface ComputeSetup {
  readonly device: 'cpu' | 'cuda';
  readonly threads: number;
  /** Which of our kernels programs use; the fastest if left out. */
  readonly kernels?: string;
  readonly engineDirectory: string;
  readonly trace: TraceTarget | null;
  /** Where compiled graphs are kept; nowhere if left out. */
  readonly graphDirectory?: string;
  /** What runs in the thread: a module that calls `serveCompute`; the production one if left out. */
  readonly module?: URL;
}

/** Starts the compute thread. */
export function startCompute(
  { module, ...setup }: ComputeSetup,
  onReply: (reply: ComputeReply) => void,
): ServiceThread<ComputeRequest, ComputeReply> {
  const source = module ?? new URL('./compute-thread.js', import.meta.url);
  return new ServiceThread({ module: source, setup, deathCode: 'E_COMPUTE_THREAD' }, onReply);
}
