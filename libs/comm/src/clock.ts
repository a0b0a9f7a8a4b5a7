/** Time as the ring knows it: what it reads and what it waits for. A test holds a clock of its own (ring/clock.fixture.ts). */

export interface Clock {
  /** Milliseconds. Never goes back. */
  now(): number;
  /** Calls `act` every so many milliseconds until the function that it returns is called. Keeps no process going. */
  every(milliseconds: number, act: () => void): () => void;
  /** Calls `act` once after so many milliseconds, unless the function that it returns is called before. */
  after(milliseconds: number, act: () => void): () => void;
}

/** The time that passes. */
export const MONOTONIC: Clock = {
  now: () => performance.now(),
  every: (milliseconds, act) => {
    const timer = setInterval(act, milliseconds);
    timer.unref();
    return () => clearInterval(timer);
  },
  after: (milliseconds, act) => {
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
};
