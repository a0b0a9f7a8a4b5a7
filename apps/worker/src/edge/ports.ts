/** What the worker's edge stands on. Production gives it the real ones (start.ts), test/sim virtual ones. */
import type { AllReduceLink, Clock, DialControl, Place } from '@lockstep/comm';
import type { Trace, TrainingState, WantedState } from '@lockstep/run';
import type { Failure } from '@lockstep/base';
import type { OpenEngine } from '../compute/engine.js';
import type { Event, State } from '../decide/state.js';

/** Where its neighbours in the ring, and whoever wants its state, reach it: libs/comm, DataServer. */
export interface DataPlane {
  readonly port: number;
  /** Its local socket, or null. */
  readonly local: string | null;
  joinRing(options: {
    readonly generation: number;
    readonly place: Place;
    readonly heartbeatTimeoutMs: number;
    readonly signal: AbortSignal;
  }): Promise<AllReduceLink>;
  close(): Promise<void>;
}

export interface WorkerPorts {
  readonly clock: Clock;
  /** In [0, 1): jitter of the reconnect pauses. */
  readonly random: () => number;
  readonly dial: DialControl;
  readonly dataPlane: DataPlane;
  /** The wanted state from a URL; rejects if that has another one, or none. */
  readonly fetchState: (url: string, wanted: WantedState) => Promise<TrainingState>;
  readonly openEngine: OpenEngine;
  readonly trace: Trace;
  readonly log: (level: 'info' | 'warn' | 'error', text: string) => void;
}

/** What the parts of the edge have of its decisions. */
export interface Deciding {
  readonly state: State;
  /** The worker has ended: nothing is decided any more. */
  readonly over: boolean;
  /** Decides on what happened, and has the effects carried out. */
  dispatch(event: Event): void;
  /** The worker cannot go on: it ends, with this. */
  fail(failure: Failure): void;
}
