/**
 * What a worker knows, what can happen to it, and what it can do. No I/O, no clock, no randomness: core.ts decides,
 * edge/worker.ts carries the effects out on two threads (sockets here, tensors there).
 */
import { type ErrorCode } from '@lockstep/base';
import type { Part } from '../compute/buckets.js';
import type { StoredGradient } from '../compute/local-sum.js';
import type {
  CommitRecord,
  CoordinatorMessage,
  EngineDescription,
  HeldState,
  Place,
  RunSettings,
  Work,
  WorkerMessage,
} from '@lockstep/comm';

/** A gradient of the step that `have` starts, kept until the step is applied. */
export interface HeldGradient {
  /** Where it lies. */
  readonly stored: StoredGradient;
  readonly loss: number | null;
  /** Of the task, in its data's order; not all need be finite. */
  readonly figures: readonly number[];
  readonly exponents: readonly number[];
  /** Names the samples that it is of. */
  readonly samples: string;
  /** sha256 of its bytes; null if the work did not ask for it. */
  readonly digest: string | null;
  readonly milliseconds: number;
  readonly cpuMilliseconds: number;
}

export interface Plan {
  readonly generation: number;
  readonly step: number;
  readonly place: Place;
  readonly work: Work;
  /** Digest of state `step`; null when it is the one that this worker made itself by the step before. */
  readonly digest: string | null;
  /** The state beyond the step is contested, and does not count. */
  readonly reload: boolean;
  readonly sources: readonly string[];
}

/** A gradient to compute; `digest`: also hash its bytes. */
export interface Wanted {
  readonly microbatch: number;
  readonly digest: boolean;
}

/**
 * What the compute thread goes on with by itself, in this order, as asking costs it the time of two messages; until it is told to
 * halt, which it then does after what it is at.
 */
export interface Queue {
  readonly then: readonly Wanted[];
  readonly halting: boolean;
}

/** The compute thread does one thing at a time. It alone writes the state, except while one is loaded. */
export type Busy =
  | { readonly kind: 'initialise' }
  | ({ readonly kind: 'compute'; readonly step: number; readonly microbatch: number } & Queue)
  /** Goes on with gradients of the next step. */
  | ({ readonly kind: 'apply'; readonly step: number } & Queue)
  | { readonly kind: 'load'; readonly generation: number; readonly step: number };

/** The local sum (local-sum.ts) folds or checks memory, one thing at a time; it reads the state, which must not change meanwhile. */
export type Summing = { readonly kind: 'fold' } | { readonly kind: 'check' };

/** waiting -> folding -> folded (this worker's integer sum is ready) -> ringing -> summed (the total is ready). */
export type SumStage = 'waiting' | 'folding' | 'folded' | 'ringing' | 'summed';

/** The sum of the early bucket, while the step's last gradients are still being computed. */
export interface EarlySum {
  readonly message: Extract<CoordinatorMessage, { type: 'sum' }>;
  readonly stage: SumStage;
}

/** The sum of the rest: of the late bucket if the early one is or was summed before, else of the whole gradient. */
export interface Reduction {
  readonly message: Extract<CoordinatorMessage, { type: 'reduce' }>;
  readonly stage: SumStage;
}

/** Which sum something is about. */
export interface SumName {
  readonly generation: number;
  readonly step: number;
  readonly part: Part;
}

/** Who a worker is, and where its neighbours dial it. */
export interface Identity {
  readonly id: string;
  /** 128 random bits in hex, drawn once a process. */
  readonly instance: string;
  readonly host: string;
  readonly port: number;
  /** Its data server's local socket (libs/comm, local-socket.ts); null: neighbours dial over TCP only. */
  readonly local: string | null;
}

export interface State extends Identity {
  readonly connected: boolean;
  /** When the coordinator first refused it for now, ms; null if it has not, or has taken it in since. */
  readonly refusedSince: number | null;
  readonly run: string | null;
  readonly generation: number;
  /** The state in memory. */
  readonly have: HeldState | null;
  /** The step that this worker applied to come to `have`; -1 if it loaded that state or made it from the seed. */
  readonly applied: number;
  /** Record of the step `applied`, if this worker was given it to keep. */
  readonly record: CommitRecord | null;
  readonly probe: string | null;
  readonly engine: EngineDescription;
  readonly plan: Plan | null;
  /** The only book of the gradients that are whole, by microbatch. */
  readonly held: ReadonlyMap<number, HeldGradient>;
  /** The gradient that is being computed, once its early bucket is there. */
  readonly begun: StoredGradient | null;
  readonly busy: Busy | null;
  readonly summing: Summing | null;
  /** Others came to other bits than this worker: it looks at its own memory before it computes anything more. */
  readonly owesCheck: boolean;
  /** Generation whose ring is connected; -1 for none. */
  readonly ringReady: number;
  readonly early: EarlySum | null;
  readonly reduction: Reduction | null;
  /** What the ring reads and writes, until it says that it released it. */
  readonly inRing: SumName | null;
  readonly lastRing: { readonly milliseconds: number; readonly bytes: number };
  readonly leaving: boolean;
  /** It said `bye`: it begins nothing more, and gives its state until it is told to go. */
  readonly handingOver: boolean;
  /** Whoever started it is gone: it stays only as long as the coordinator does. */
  readonly orphaned: boolean;
  /** Generation in which no source gave the state that its plan starts from; -1 for none. */
  readonly unableIn: number;
}

export type Event =
  | { readonly type: 'connected' }
  | { readonly type: 'disconnected' }
  /** `now`: ms of a clock that never goes back. */
  | { readonly type: 'message'; readonly message: CoordinatorMessage; readonly now: number }
  | {
      readonly type: 'initialised';
      readonly have: HeldState;
      readonly probe: string;
      readonly engine: EngineDescription;
    }
  /** The early bucket of the gradient that is being computed is there: the exponents of its tensors. */
  | {
      readonly type: 'early';
      readonly step: number;
      readonly microbatch: number;
      readonly exponents: readonly number[];
      readonly stored: StoredGradient;
    }
  /** `goesOn`: the compute thread has begun the next gradient of its queue. */
  | {
      readonly type: 'computed';
      readonly step: number;
      readonly microbatch: number;
      readonly gradient: HeldGradient;
      readonly goesOn: boolean;
    }
  | ({ readonly type: 'folded' } & SumName)
  /** The weights at rest are what they were. */
  | { readonly type: 'checked' }
  /** The run's task, its data or the engine is not to be had here, or the compute thread cannot go on. */
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  /** Weights or a gradient that should be at rest are not what they were. */
  | { readonly type: 'corrupt'; readonly what: string }
  | { readonly type: 'ringJoined'; readonly generation: number }
  | ({ readonly type: 'summed'; readonly milliseconds: number; readonly bytes: number } & SumName)
  | {
      readonly type: 'ringFailed';
      readonly generation: number;
      readonly peer: string | null;
      readonly code: string;
      readonly message: string;
    }
  /** An all-reduce is over, well or not: the sum is this worker's again. */
  | { readonly type: 'ringReleased' }
  /** `digest`: of the state after the step; `goesOn`: as of `computed`. */
  | { readonly type: 'applied'; readonly step: number; readonly digest: string; readonly goesOn: boolean }
  | {
      readonly type: 'loaded';
      readonly step: number;
      readonly digest: string;
      readonly source: string;
      readonly bytes: number;
      readonly milliseconds: number;
    }
  | { readonly type: 'loadFailed'; readonly generation: number; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'heartbeatDue' }
  /** Asked to go: with what it holds handed over, or, `atOnce`, without. */
  | { readonly type: 'leave'; readonly reason: string; readonly atOnce: boolean }
  | { readonly type: 'orphaned'; readonly reason: string };

export type Effect =
  | { readonly type: 'send'; readonly message: WorkerMessage }
  /** Open the task and its data, load the engine, make state 0, compute the probe. */
  | { readonly type: 'initialise'; readonly settings: RunSettings }
  /** Compute these gradients one after another. */
  | { readonly type: 'compute'; readonly step: number; readonly wanted: readonly Wanted[] }
  /** The compute thread is to begin no more of the gradients that are wanted of it. */
  | { readonly type: 'halt' }
  /** Make the inputs of these microbatches, which will probably be computed next, while the compute thread has nothing to do. */
  | { readonly type: 'prepare'; readonly step: number; readonly microbatches: readonly number[] }
  /**
   * Check weights and the part of the named gradients against their checksums, then sum it as integers into the reduction buffer.
   * `exponents`: of the early bucket's tensors for the part `early`, else of all tensors.
   */
  | ({
      readonly type: 'fold';
      readonly gradients: readonly StoredGradient[];
      readonly exponents: readonly number[];
    } & SumName)
  /** Check the weights against their checksum. */
  | { readonly type: 'check' }
  | { readonly type: 'joinRing'; readonly generation: number; readonly place: Place }
  | { readonly type: 'leaveRing' }
  | ({ readonly type: 'allReduce' } & SumName)
  /** Check the state against its digest, turn the sum into the step's gradient, update weights, moments and EMA (`skip`: leave them); forget the step's gradients. Then compute the gradients `then` of the next step. */
  | {
      readonly type: 'apply';
      readonly step: number;
      readonly exponents: readonly number[];
      readonly skip: boolean;
      readonly then: readonly Wanted[];
    }
  | {
      readonly type: 'load';
      readonly generation: number;
      readonly step: number;
      readonly digest: string;
      readonly sources: readonly string[];
    }
  | { readonly type: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly text: string }
  | { readonly type: 'exit'; readonly status: number; readonly code: string; readonly reason: string };

export function initialState(identity: Identity): State {
  return {
    ...identity,
    connected: false,
    refusedSince: null,
    run: null,
    generation: 0,
    have: null,
    applied: -1,
    record: null,
    probe: null,
    engine: {},
    plan: null,
    held: new Map(),
    begun: null,
    busy: null,
    summing: null,
    owesCheck: false,
    ringReady: -1,
    early: null,
    reduction: null,
    inRing: null,
    lastRing: { milliseconds: 0, bytes: 0 },
    leaving: false,
    handingOver: false,
    orphaned: false,
    unableIn: -1,
  };
}
