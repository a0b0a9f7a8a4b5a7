/** What the coordinator's edge stands on. Production gives it the real ones (server.ts), test/sim virtual ones. */
import type { Clock, CoordinatorMessage, Pipe, PipeEvents, WorkerMessage } from '@lockstep/comm';
import type { AdmitResult, Admission, LedgerEntry, NumericsClass } from '@lockstep/run';
import type { Clocks } from '../decide/clocks.js';
import type { Note, State } from '../decide/state.js';
import type { Publishing } from './publisher.js';

/** Where workers connect. */
export interface Door {
  /** Takes whoever comes, from now on. */
  open(accept: (pipe: Pipe<CoordinatorMessage>) => PipeEvents<WorkerMessage>): void;
  /** Closes all connections, says why, and takes no more. What was sent has left by then. */
  close(reason: string): Promise<void>;
}

/** What is durable of the run, but for its states: libs/run, Ledger. What it was told is on disk when a promise resolves. */
export interface RunLedger {
  get(step: number): Pick<LedgerEntry, 'digest'> | undefined;
  setGeneration(generation: number): Promise<void>;
  setClass(numerics: NumericsClass): Promise<void>;
  admit(admission: Admission): Promise<AdmitResult>;
  branch(step: number, reason: string, at: number): Promise<void>;
  append(entry: LedgerEntry): Promise<unknown>;
  close(): Promise<void>;
}

/** Who is told how the run goes. */
export interface Watcher {
  decided(state: State): void;
  told(note: Note): void;
  /** The run is over; nothing more is told. */
  ending(): void;
}

export interface CoordinatorPorts {
  readonly clocks: Clocks;
  readonly timers: Pick<Clock, 'every' | 'after'>;
  readonly door: Door;
  readonly ledger: RunLedger;
  readonly publishing: Publishing;
  readonly watcher: Watcher;
}
