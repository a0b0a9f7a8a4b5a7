/**
 * The compute thread, seen from the I/O thread. Tensor calls block their thread, so they have one of their own: sockets
 * and heartbeats go on while a gradient is computed. One request is in flight at a time (core.ts sees to that).
 */
import { Worker as Thread } from 'node:worker_threads';
import type { RunSettings } from '@lockstep/comm';
import type { ArenaBuffers } from './arena.js';

export type ComputeRequest =
  | { readonly kind: 'initialise'; readonly settings: RunSettings; readonly buffers: ArenaBuffers }
  | { readonly kind: 'compute'; readonly step: number; readonly microbatch: number }
  | {
      readonly kind: 'fold';
      readonly generation: number;
      readonly contribute: readonly number[];
      readonly exponents: readonly number[];
    }
  | { readonly kind: 'apply'; readonly step: number; readonly exponents: readonly number[] };

export type ComputeReply =
  | { readonly kind: 'initialised'; readonly probe: string; readonly engine: string }
  | {
      readonly kind: 'computed';
      readonly step: number;
      readonly microbatch: number;
      readonly loss: number | null;
      readonly exponents: readonly number[];
      readonly milliseconds: number;
    }
  | { readonly kind: 'folded'; readonly generation: number }
  | { readonly kind: 'applied'; readonly step: number }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

/** What the compute thread is started with. */
export interface ComputeSetup {
  readonly device: 'cpu' | 'cuda';
  readonly threads: number;
  readonly engineDirectory: string;
}

export class ComputeThread {
  private readonly thread: Thread;

  /** Starts the thread. `onReply` gets every reply in order; a thread that dies counts as a failed reply. */
  constructor(setup: ComputeSetup, onReply: (reply: ComputeReply) => void) {
    this.thread = new Thread(new URL('./compute-thread.js', import.meta.url), { workerData: setup });
    this.thread.on('message', onReply);
    this.thread.on('error', (error: Error) =>
      onReply({ kind: 'failed', code: 'E_COMPUTE_THREAD', message: error.stack ?? error.message }),
    );
  }

  request(request: ComputeRequest): void {
    this.thread.postMessage(request);
  }
}
