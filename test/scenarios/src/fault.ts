/** What a fault is: how its run is laid out, how it is injected, and what it may cost. */
import type { Cluster, Layout } from './cluster.js';

/** One injection, as measured. */
export interface Injection {
  /** From the injection to the next committed step; for a fault without an outage, what its `measures` says. */
  readonly seconds: number;
  /** A figure besides, for the table. */
  readonly detail?: string;
}

/** What a fault needs for one run. */
export interface Bench {
  readonly layout?: Partial<Layout>;
  /**
   * Injects once (or goes through all its stages) and waits until the next step is committed.
   * @throws Error if something happens that must not
   */
  inject(cluster: Cluster, count: number): Promise<readonly Injection[]>;
  /** Gives back what lies outside the processes. */
  close?(): Promise<void>;
}

/** What the goal looks at. Seconds. */
export interface Measured {
  readonly seconds: readonly number[];
  /** Median time of a step before the first injection. */
  readonly quietStep: number;
}

export interface Fault {
  readonly id: string;
  readonly title: string;
  /** In words, and as a test; besides it the digest must be equal and the ledger whole, always. */
  readonly goal: string;
  readonly met: (measured: Measured) => boolean;
  /** False: injected once a run, however often it is asked for. */
  readonly repeats?: false;
  /** True: it is noticed, or got over, only when someone has been silent for a heartbeat timeout. */
  readonly waitsForSilence?: true;
  /** @throws Skipped if this machine cannot do it */
  open(): Promise<Bench>;
}

/** This machine lacks what the fault needs. */
export class Skipped extends Error {}
