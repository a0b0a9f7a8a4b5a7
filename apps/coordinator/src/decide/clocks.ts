/**
 * The two clocks of a process. They are types of their own, so that one cannot be handed over as the other.
 *
 * The monotonic one never goes back and runs at one pace: whatever waits, measures or times out reads it. It begins anywhere,
 * in each process elsewhere, so it says nothing to others. The wall clock is set by people and by NTP, forwards and back, by
 * hours: it stands in what is kept and read, in ledgers, manifests and logs, and decides nothing.
 */
declare const clock: unique symbol;

/** Milliseconds of this process's monotonic clock. */
export type MonotonicMs = number & { readonly [clock]: 'monotonic' };
/** Milliseconds since the epoch by the wall clock; whole, and not negative. */
export type WallMs = number & { readonly [clock]: 'wall' };

export interface Clocks {
  readonly monotonicNow: () => MonotonicMs;
  readonly wallNow: () => WallMs;
}

/** Says that a number was read from a monotonic clock. */
export function monotonicMs(value: number): MonotonicMs {
  return value as MonotonicMs;
}

/** A wall clock's reading as it is kept: one that stands before the epoch, as on a machine whose clock never ran, is 0. */
export function wallMs(value: number): WallMs {
  return Math.max(0, Math.round(value)) as WallMs;
}

/** Of the machine. */
export const systemClocks: Clocks = {
  monotonicNow: () => monotonicMs(performance.now()),
  wallNow: () => wallMs(Date.now()),
};
