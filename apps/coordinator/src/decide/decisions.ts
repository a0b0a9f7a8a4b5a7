/**
 * Where the decisions meet the clocks: everything that happens gets its time here, by the monotonic clock, and what goes into
 * the ledger gets its date, by the wall clock. The edge (coordinator.ts) decides by way of this file.
 */
import type { LedgerEntry } from '@lockstep/run';
import type { Clocks } from './clocks.js';
import { decide } from './core.js';
import { initialState, type Durable, type Effect, type Happening, type Recovered } from './state.js';
import type { Settings, State } from './state.js';

export interface DecisionOptions {
  readonly recovered: Recovered;
  readonly settings: Settings;
  readonly durable: Durable;
  readonly clocks: Clocks;
}

/** A coordinator's state, and what it does about each thing that happens. */
export class Decisions {
  private current: State;

  constructor(private readonly options: DecisionOptions) {
    const { recovered, durable, clocks } = options;
    this.current = initialState(recovered, durable, clocks.monotonicNow());
  }

  /** Good until the next `take`, which changes it in place. */
  get state(): State {
    return this.current;
  }

  /** Decides on something that happens now. Returns the effects, to be carried out in order. */
  take(happening: Happening): readonly Effect[] {
    const { settings, durable, clocks } = this.options;
    const { state, effects } = decide(this.current, { ...happening, now: clocks.monotonicNow() }, settings, durable);
    this.current = state;
    return effects;
  }
}

/** The ledger's entry of a step that is committed now. */
export function entryOf(
  { record, digest }: Extract<Effect, { type: 'appendLedger' }>,
  { wallNow }: Clocks,
): LedgerEntry {
  return { ...record, digest, at: wallNow() };
}
