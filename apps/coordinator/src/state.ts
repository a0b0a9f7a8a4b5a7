/**
 * What the coordinator knows, what can happen to it, and what it can do. No I/O, no clock, no randomness in here:
 * core.ts turns (state, event) into (state, effects), and server.ts carries the effects out.
 *
 * Words: step k leads from state k to state k+1. `step` is the step being done, so `step` steps are committed.
 * A generation is one membership and ring order. A worker is `ready` once it holds a state and can compute.
 */
import type { CommitRecord, CoordinatorMessage, HeldState, Member, RunSettings, WorkerMessage } from '@lockstep/comm';

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
}

/** Read-only look-ups into what is durable; the answers depend only on what was committed. */
export interface Durable {
  /** Digest of state k by the ledger (k >= 1) or by the seed (k = 0); null if step k-1 was never committed. */
  digestOf(step: number): string | null;
}

/** A connected worker. */
export interface WorkerView {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** When it was last heard of, ms. */
  readonly lastSeen: number;
  /** Null until the worker said ready. */
  readonly have: HeldState | null;
  /** Record of the step that made its state. */
  readonly record: CommitRecord | null;
  /** Consecutive times its neighbour named it as the reason of a broken ring. */
  readonly blamed: number;
  /** Consecutive times it could not load the state. */
  readonly unable: number;
}

/** A microbatch's gradient that a worker holds. */
export interface Covered {
  readonly worker: string;
  readonly loss: number | null;
  readonly exponents: readonly number[];
}

export type Phase =
  /** Too few ready workers, or the one with the newest state may still come back. */
  | { readonly kind: 'gathering'; readonly since: number }
  /** Gradients of `step` are being computed; `covered[i]` is who holds microbatch i. */
  | { readonly kind: 'computing'; readonly assigned: readonly string[]; readonly covered: readonly (Covered | null)[] }
  /** The ring runs; `early` holds gradients of the next step that quick workers already have. */
  | {
      readonly kind: 'reducing';
      readonly record: CommitRecord;
      readonly applied: ReadonlyMap<string, string>;
      readonly next: readonly string[] | null;
      readonly early: readonly (Covered | null)[];
    }
  /** No more steps: the last checkpoint is being published. */
  | { readonly kind: 'finishing'; readonly outcome: Outcome }
  | { readonly kind: 'over'; readonly outcome: Outcome };

/** How a run ends. `complete` and `stopped` are good ends. */
export interface Outcome {
  readonly kind: 'complete' | 'stopped' | 'failed';
  /** A stable code for `failed`, else COMPLETE or STOPPED. */
  readonly code: string;
  readonly reason: string;
}

export interface State {
  readonly phase: Phase;
  readonly generation: number;
  readonly step: number;
  /** Digest of state `step`; every worker that takes part must hold it. */
  readonly digest: string;
  readonly workers: ReadonlyMap<string, WorkerView>;
  /** Ids in ring order of this generation; empty while gathering. */
  readonly ring: readonly string[];
  /** Steps whose ledger entries are on disk: no later reduce is given out before this reaches `step`. */
  readonly durable: number;
  /** Steps that the ledger already held when this coordinator started; redone ones must give the same digests. */
  readonly known: number;
  /** Newest whole checkpoint. */
  readonly checkpoint: HeldState | null;
  /** Digest of the probe gradient that the run's workers share; null until the first worker said ready. */
  readonly probe: string | null;
  readonly stopRequested: string | null;
  /** When the ring of this generation was reported broken, ms; null if it was not. */
  readonly brokenSince: number | null;
  /** Time of the last tick: a gap means that the coordinator itself stood still, not its workers. */
  readonly lastTick: number;
}

export type Event = { readonly now: number } & (
  | { readonly type: 'tick' }
  /** A worker's connection is up and it said hello. A second hello of one id replaces its first connection. */
  | {
      readonly type: 'hello';
      readonly worker: string;
      readonly host: string;
      readonly port: number;
      readonly run: string | null;
    }
  | { readonly type: 'message'; readonly worker: string; readonly message: Exclude<WorkerMessage, { type: 'hello' }> }
  | { readonly type: 'gone'; readonly worker: string; readonly reason: string }
  | { readonly type: 'ledgerWritten'; readonly step: number }
  | { readonly type: 'ledgerFailed'; readonly step: number; readonly code: string; readonly message: string }
  | { readonly type: 'published'; readonly step: number; readonly digest: string }
  | { readonly type: 'publishFailed'; readonly step: number; readonly code: string; readonly message: string }
  | { readonly type: 'stopRequested'; readonly reason: string }
);

/** A fact worth telling: becomes a log line, a metric and a progress event. */
export type Note =
  | { readonly note: 'worker-joined'; readonly worker: string; readonly host: string }
  | { readonly note: 'worker-ready'; readonly worker: string; readonly step: number }
  | { readonly note: 'worker-lost'; readonly worker: string; readonly reason: string }
  | { readonly note: 'worker-refused'; readonly worker: string; readonly code: string; readonly reason: string }
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
      readonly loss: number;
      readonly digest: string;
      readonly redone: boolean;
    }
  | { readonly note: 'dropped'; readonly worker: string; readonly type: string; readonly generation: number }
  | { readonly note: 'ring-broken'; readonly worker: string; readonly peer: string | null; readonly reason: string }
  | { readonly note: 'published'; readonly step: number; readonly digest: string }
  | { readonly note: 'publish-failed'; readonly step: number; readonly code: string; readonly reason: string }
  | { readonly note: 'rolled-back'; readonly from: number; readonly to: number; readonly reason: string }
  | { readonly note: 'over'; readonly outcome: Outcome };

export type Effect =
  | { readonly type: 'send'; readonly worker: string; readonly message: CoordinatorMessage }
  /** Close the worker's connection after what was sent. */
  | { readonly type: 'close'; readonly worker: string; readonly reason: string }
  /** Make the generation durable before any message of it is sent. */
  | { readonly type: 'recordGeneration'; readonly generation: number }
  | { readonly type: 'recordProbe'; readonly probe: string }
  | { readonly type: 'appendLedger'; readonly record: CommitRecord; readonly digest: string; readonly at: number }
  /** Fetch state `step` from one of the members and publish it whole. */
  | {
      readonly type: 'publish';
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
  readonly probe: string | null;
}

/** The state of a coordinator that has just started. */
export function initialState(recovered: Recovered, durable: Durable, now: number): State {
  const digest = durable.digestOf(recovered.committed);
  if (digest === null) throw new Error(`the ledger has no digest for state ${recovered.committed}`);
  return {
    phase: { kind: 'gathering', since: now },
    generation: recovered.generation,
    step: recovered.committed,
    digest,
    workers: new Map(),
    ring: [],
    durable: recovered.committed,
    known: recovered.committed,
    checkpoint: recovered.checkpoint,
    probe: recovered.probe,
    stopRequested: null,
    brokenSince: null,
    lastTick: now,
  };
}
