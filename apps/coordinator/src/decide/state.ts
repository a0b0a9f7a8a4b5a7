/**
 * What the coordinator knows, what can happen to it, and what it can do. No I/O, no clock, no randomness in here:
 * core.ts turns (state, event) into (state, effects), and edge/coordinator.ts carries the effects out. All times in here are ms of the
 * monotonic clock, which is the only one that decisions see.
 *
 * Words: step k leads from state k to state k+1. `step` is the step being done, so `step` steps are committed.
 * A generation is one membership and ring order. A worker is `ready` once it holds a state and can compute.
 */
import { type ErrorCode } from '@lockstep/base';
import type {
  CommitRecord,
  CoordinatorMessage,
  EngineDescription,
  HeldState,
  Member,
  RunSettings,
  WorkerMessage,
} from '@lockstep/comm';
import type { Answer } from './audit.js';
import type { MonotonicMs } from './clocks.js';
import type { EvaluationSummary } from '../status.js';
import type { Attempts } from './votes.js';

/** What never changes during a run, and what was on disk when the coordinator started. */
export interface Settings {
  readonly run: string;
  /** Handed to every worker. */
  readonly runSettings: RunSettings;
  readonly steps: number;
  readonly microbatches: number;
  /** Publish a checkpoint after every so many steps. */
  readonly checkpointEvery: number;
  /** Fewest ready workers with which a generation opens. */
  readonly minWorkers: number;
  /** The one timeout knob: a peer silent for so long is lost. Milliseconds. */
  readonly heartbeatTimeoutMs: number;
  /** Share of microbatches that two workers compute, 0..1. */
  readonly auditRate: number;
  readonly numerics: 'strict' | 'relaxed';
  readonly nonFinite: 'stop' | 'skip';
  /** Names of what the task's workers measure beside the loss, in the order in which they say it. */
  readonly figures: readonly string[];
  /** Workers of a generation from which on its ring has two tiers (topology.ts). */
  readonly tiersFrom: number;
}

/** Read-only look-ups into what is durable; the answers depend only on what was committed. */
export interface Durable {
  /** Digest of state k by the ledger (k >= 1) or by the seed (k = 0); null if step k-1 was never committed. */
  digestOf(step: number): string | null;
}

/** How long a worker takes, smoothed. */
export interface Speed {
  /** Wall time of a microbatch. */
  readonly milliseconds: number;
  /** Processor time / wall time; about the number of threads where nothing holds it back. */
  readonly cpuShare: number;
}

/** A connected worker. */
export interface WorkerView {
  readonly id: string;
  /** Of all processes that ever had its name, this one. */
  readonly instance: string;
  readonly host: string;
  readonly port: number;
  /** Its local socket, for a neighbour on the same host; null if it has none. */
  readonly local: string | null;
  /** When it was last heard of, ms. */
  readonly lastSeen: number;
  /** Null until the worker said ready. */
  readonly have: HeldState | null;
  /** Record of the step that made its state, if it keeps it. */
  readonly record: CommitRecord | null;
  /** Digest of its probe gradient: its numerics class. */
  readonly probe: string | null;
  readonly speed: Speed | null;
  /** Why it is called a straggler, or null if it is none. */
  readonly straggler: string | null;
  /** Consecutive times its neighbour named it as the reason of a broken ring. */
  readonly blamed: number;
  /** Consecutive times it could not load the state. */
  readonly unable: number;
  /** It said `bye`, and gives its state, if that is needed, until it is told to go. */
  readonly leaving: boolean;
}

/** A microbatch's gradient that a worker holds. */
export interface Covered {
  readonly worker: string;
  readonly loss: number | null;
  /** By the place of their names in the settings; null: its worker said none. */
  readonly figures: readonly (number | null)[] | null;
  readonly exponents: readonly number[];
  readonly samples: string;
}

/** The early bucket of a microbatch's gradient, that a worker holds. */
export interface CoveredEarly {
  readonly worker: string;
  readonly exponents: readonly number[];
}

/** The gradients of one step: who computes them, who has them. Lives as long as its step and generation; changes in place. */
export interface StepWork {
  readonly step: number;
  /** When it was given out, ms. */
  since: number;
  /** What each worker was told to compute, in order. */
  readonly queues: Map<string, number[]>;
  /** Microbatches given to who holds their gradient already. */
  readonly pinned: ReadonlySet<number>;
  /** When each worker can have begun what it is at, ms. */
  readonly busySince: Map<string, number>;
  /** First result by microbatch. */
  readonly covered: (Covered | null)[];
  /** Early buckets that were there before the rest of their gradient, by microbatch. */
  readonly early: Map<number, CoveredEarly>;
  /** Microbatches without a result, of the whole or of the early bucket. */
  missingEarly: number;
  /** The exponents with which the early bucket is being summed; null if that has not begun. */
  summed: readonly number[] | null;
  /** Microbatches without a result that counts: `covered`, and agreed on where audited. */
  missing: number;
  /** Microbatches that a second worker computes as the first one is slow. */
  readonly duplicated: Set<number>;
  /** All results of the audited microbatches, which two workers compute. */
  readonly audited: Map<number, (Covered & Answer)[]>;
  /** Audited microbatches on which there is agreement. */
  readonly settled: Set<number>;
  /** "worker microbatch" of the answers that were asked for once more. */
  readonly again: Set<string>;
  /** Whether state `step` is kept for replay, which happens when a gradient is not finite. */
  kept: 'no' | 'asked' | 'done';
}

/** What a task measures beside the loss, by name: means over a step's microbatches. What is not known is left out. */
export type Figures = Readonly<Record<string, number>>;

export type Phase =
  /** Too few ready workers, or the one with the newest state may still come back. */
  | { readonly kind: 'gathering'; readonly since: number }
  /** Gradients of `step` are being computed. */
  | { readonly kind: 'computing'; readonly work: StepWork }
  /** The ring runs; quick workers already report gradients of the `next` step. */
  | {
      readonly kind: 'reducing';
      readonly since: number;
      readonly record: CommitRecord;
      readonly figures: Figures;
      /** Digest by worker, changed in place. */
      readonly applied: Map<string, string>;
      readonly next: StepWork | null;
    }
  /** No more steps: the last checkpoint is being published. */
  | { readonly kind: 'finishing'; readonly outcome: Outcome }
  | { readonly kind: 'over'; readonly outcome: Outcome };

export interface NumericsClass {
  /** Digest of the probe gradient. */
  readonly probe: string;
  readonly engine: EngineDescription;
}

/** How a run ends. `complete` and `stopped` are good ends. */
export interface Outcome {
  readonly kind: 'complete' | 'stopped' | 'failed';
  readonly code: ErrorCode | 'COMPLETE' | 'STOPPED';
  readonly reason: string;
  /** Who or what asked for the end, such as SIGINT; for `stopped`, and for `failed` where that is the failure to stop as asked. */
  readonly asked?: string;
}

export interface State {
  readonly phase: Phase;
  readonly generation: number;
  readonly step: number;
  /** Digest of state `step`; every worker that takes part must hold it. */
  readonly digest: string;
  /** By id. Belongs to the state, which `step` consumes: it is changed in place. */
  readonly workers: Map<string, WorkerView>;
  /** Ids in ring order of this generation; empty while gathering. */
  readonly ring: readonly string[];
  /** Place in `ring` by id. */
  readonly ranks: ReadonlyMap<string, number>;
  /** Steps whose ledger entries are on disk: no later reduce is given out before this reaches `step`. */
  readonly durable: number;
  /** Steps that the ledger already held when this coordinator started; redone ones must give the same digests. */
  readonly known: number;
  /** Newest whole checkpoint. */
  readonly checkpoint: HeldState | null;
  /** The numerics class of the run: the first worker's probe and engine; null until a worker said ready. */
  readonly numerics: NumericsClass | null;
  /** False once a worker of another class was let in: a step done again may then give other bits. */
  readonly reproducible: boolean;
  /** Digests given for state step + 1 in attempts that ended in a tie. */
  readonly contested: { readonly step: number; readonly attempts: Attempts } | null;
  /** What the last reported all-reduce took. */
  readonly lastRing: { readonly ringMilliseconds: number; readonly ringBytes: number };
  /** Steps skipped in a row as a gradient was not finite. */
  readonly skips: number;
  readonly stopRequested: string | null;
  /** A checkpoint is to be published as soon as a state is at rest, and the run goes on. */
  readonly checkpointRequested: boolean;
  /**
   * State that is being published because it may be gone soon, or was asked for; null for none. Meanwhile the step that changes it is
   * not reduced, so that its holders keep it.
   */
  readonly saving: number | null;
  /** When the ring of this generation was reported broken, ms; null if it was not. */
  readonly brokenSince: number | null;
  /** Time of the last tick: a gap means that the coordinator itself stood still, not its workers. */
  readonly lastTick: number;
}

/** Something that happens to the coordinator. */
export type Happening =
  | { readonly type: 'tick' }
  /** A worker's connection is up and it said hello. A second hello of one instance replaces its first connection; see nameTaken. */
  | {
      readonly type: 'hello';
      readonly worker: string;
      readonly instance: string;
      readonly host: string;
      readonly port: number;
      readonly local: string | null;
      readonly run: string | null;
    }
  | { readonly type: 'message'; readonly worker: string; readonly message: Exclude<WorkerMessage, { type: 'hello' }> }
  | { readonly type: 'gone'; readonly worker: string; readonly reason: string }
  | { readonly type: 'ledgerWritten'; readonly step: number }
  | { readonly type: 'ledgerFailed'; readonly step: number; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'published'; readonly step: number; readonly digest: string }
  | { readonly type: 'publishFailed'; readonly step: number; readonly code: ErrorCode; readonly message: string }
  /** State `step` was kept for replay, or could not be. */
  | { readonly type: 'kept'; readonly step: number; readonly failure: string | null }
  | { readonly type: 'stopRequested'; readonly reason: string }
  | { readonly type: 'checkpointRequested' };

/** What happened, and when. */
export type Event = Happening & { readonly now: MonotonicMs };

/** A fact worth telling: becomes a log line, a metric and a progress event. */
export type Note =
  | { readonly note: 'worker-joined'; readonly worker: string; readonly host: string }
  | { readonly note: 'worker-ready'; readonly worker: string; readonly step: number }
  | { readonly note: 'worker-lost'; readonly worker: string; readonly reason: string }
  | {
      readonly note: 'worker-loaded';
      readonly worker: string;
      readonly step: number;
      readonly source: string;
      readonly bytes: number;
      readonly milliseconds: number;
    }
  /** A worker of another numerics class takes part: `--numerics relaxed`. */
  | { readonly note: 'worker-admitted'; readonly worker: string; readonly differs: string }
  | { readonly note: 'straggler'; readonly worker: string; readonly reason: string }
  | { readonly note: 'straggler-over'; readonly worker: string }
  | {
      readonly note: 'work-moved';
      readonly step: number;
      readonly microbatch: number;
      readonly from: string;
      readonly to: string;
    }
  | {
      readonly note: 'audited';
      readonly step: number;
      readonly microbatch: number;
      readonly workers: readonly string[];
    }
  | {
      readonly note: 'non-finite';
      readonly step: number;
      readonly microbatches: readonly number[];
      readonly workers: readonly string[];
    }
  | { readonly note: 'kept'; readonly step: number; readonly failure: string | null }
  | { readonly note: 'contested'; readonly step: number; readonly sides: string }
  | { readonly note: 'worker-refused'; readonly worker: string; readonly code: ErrorCode; readonly reason: string }
  | {
      readonly note: 'generation-opened';
      readonly generation: number;
      readonly step: number;
      readonly ring: readonly string[];
      readonly reason: string;
    }
  | { readonly note: 'waiting'; readonly reason: string }
  | { readonly note: 'reduce-started'; readonly step: number; readonly generation: number }
  | {
      readonly note: 'committed';
      readonly step: number;
      readonly generation: number;
      /** Mean over the microbatches; null if it is not known or was not finite. */
      readonly loss: number | null;
      readonly figures: Figures;
      readonly digest: string;
      readonly redone: boolean;
      readonly skipped: boolean;
      readonly ringMilliseconds: number;
      readonly ringBytes: number;
    }
  | { readonly note: 'dropped'; readonly worker: string; readonly type: string; readonly generation: number }
  | { readonly note: 'ring-broken'; readonly worker: string; readonly peer: string | null; readonly reason: string }
  | { readonly note: 'published'; readonly step: number; readonly digest: string }
  | { readonly note: 'publish-failed'; readonly step: number; readonly code: ErrorCode; readonly reason: string }
  | ({ readonly note: 'evaluated' } & EvaluationSummary)
  | { readonly note: 'evaluation-failed'; readonly code: ErrorCode; readonly reason: string }
  | { readonly note: 'rolled-back'; readonly from: number; readonly to: number; readonly reason: string }
  | { readonly note: 'over'; readonly outcome: Outcome };

export type Effect =
  | { readonly type: 'send'; readonly worker: string; readonly message: CoordinatorMessage }
  /** Close the worker's connection after what was sent. */
  | { readonly type: 'close'; readonly worker: string; readonly reason: string }
  /** Make the generation durable before any message of it is sent. */
  | { readonly type: 'recordGeneration'; readonly generation: number }
  | { readonly type: 'recordClass'; readonly numerics: NumericsClass }
  /** Record that bits are not reproducible from `step` on. */
  | {
      readonly type: 'recordAdmitted';
      readonly step: number;
      readonly worker: string;
      readonly numerics: NumericsClass;
    }
  /** Take the entries from `step` on out of the ledger, as the steps may give other bits when they are done again. */
  | { readonly type: 'branchLedger'; readonly step: number; readonly reason: string }
  | { readonly type: 'appendLedger'; readonly record: CommitRecord; readonly digest: string }
  /** Fetch state `step` from one of the members and publish it whole. */
  | {
      readonly type: 'publish';
      readonly step: number;
      readonly digest: string;
      readonly generation: number;
      readonly from: readonly Member[];
    }
  /** Fetch state `step` and keep it for replay, where no checkpoint is ever thrown away. */
  | {
      readonly type: 'keep';
      readonly step: number;
      readonly digest: string;
      readonly generation: number;
      readonly from: readonly Member[];
    }
  | { readonly type: 'note'; readonly note: Note }
  /** The run is over: answer what is in flight, then exit. */
  | { readonly type: 'exit'; readonly outcome: Outcome };

/** What a coordinator starts from. `committed` counts the steps in the ledger. */
export interface Recovered {
  readonly committed: number;
  readonly generation: number;
  readonly checkpoint: HeldState | null;
  readonly numerics: NumericsClass | null;
  readonly reproducible: boolean;
}

/** The state of a coordinator that has just started. */
export function initialState(recovered: Recovered, durable: Durable, now: MonotonicMs): State {
  const digest = durable.digestOf(recovered.committed);
  if (digest === null) throw new Error(`the ledger has no digest for state ${recovered.committed}`);
  return {
    phase: { kind: 'gathering', since: now },
    generation: recovered.generation,
    step: recovered.committed,
    digest,
    workers: new Map(),
    ring: [],
    ranks: new Map(),
    durable: recovered.committed,
    known: recovered.committed,
    checkpoint: recovered.checkpoint,
    numerics: recovered.numerics,
    reproducible: recovered.reproducible,
    contested: null,
    lastRing: { ringMilliseconds: 0, ringBytes: 0 },
    skips: 0,
    stopRequested: null,
    checkpointRequested: false,
    saving: null,
    brokenSince: null,
    lastTick: now,
  };
}
