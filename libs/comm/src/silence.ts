/**
 * Is this neighbour silent? A pure judgement: time and counts come in, sockets are elsewhere (keepalive.ts).
 *
 * Evidence is any byte from the neighbour, not whole frames: on a slow link one frame may take longer than the timeout. Two
 * kinds of time are not the neighbour's silence: while this process stood still (nobody looked, see `#standstill`), and while
 * this end did not read the socket (backpressure), as what the neighbour said meanwhile lies unread in the kernel.
 */

/** What one look at a socket shows. */
export type Look = {
  /** Milliseconds of a clock that never goes back. */
  readonly now: number;
  /** Bytes received on the socket since it opened. */
  readonly bytesReceived: number;
  /** Whether this end reads the socket: it is open and not paused. */
  readonly reading: boolean;
};

export class SilenceClock {
  readonly #timeoutMs: number;
  readonly #tickMs: number;
  #lastLook: number;
  #quietSince: number;
  #bytesReceived = 0;

  /** timeoutMs: the silence that is too long. tickMs: pause between two looks when all is well. now: when the socket opened. */
  constructor({ timeoutMs, tickMs, now }: { timeoutMs: number; tickMs: number; now: number }) {
    this.#timeoutMs = timeoutMs;
    this.#tickMs = tickMs;
    this.#lastLook = now;
    this.#quietSince = now;
  }

  /** Looks once more; whether the neighbour has been silent for longer than the timeout. */
  isSilent({ now, bytesReceived, reading }: Look): boolean {
    const heard = bytesReceived !== this.#bytesReceived;
    if (heard || !reading) this.#quietSince = now;
    else this.#quietSince = Math.min(now, this.#quietSince + this.#standstill(now));
    this.#bytesReceived = bytesReceived;
    this.#lastLook = now;
    return now - this.#quietSince > this.#timeoutMs;
  }

  /** How long this process did nothing at all since the last look: a timer that is late by more than a tick was held up. */
  #standstill(now: number): number {
    return Math.max(0, now - this.#lastLook - 2 * this.#tickMs);
  }
}
