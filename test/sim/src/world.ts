/** Virtual time, and randomness from a seed: everything in a simulation happens here, one thing after another. */

/** A simulation that has not ended after so many events never will; a healthy one needs a few thousand. */
const MAX_EVENTS = 400_000;

/** Ticks come when no promise has anything more to do. */
function promisesAreDone(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** Uniform numbers from a 32-bit seed (mulberry32, Tommy Ettinger's public-domain generator). */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** In [0, 1). */
  unit(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.unit();
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.unit() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}

interface Scheduled {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class World {
  /** Virtual time in ms. */
  now = 0;
  readonly random: Random;
  private readonly said: { readonly at: number; readonly who: string; readonly what: string | object }[] = [];
  private readonly queue: Scheduled[] = [];
  private order = 0;
  private ended = false;

  constructor(readonly seed: number) {
    this.random = new Random(seed);
  }

  after(delay: number, run: () => void): void {
    const entry = { at: this.now + Math.max(0, delay), order: this.order++, run };
    let low = 0;
    let high = this.queue.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.queue[middle];
      if (other !== undefined && (other.at > entry.at || (other.at === entry.at && other.order > entry.order)))
        low = middle + 1;
      else high = middle;
    }
    // Latest first, so that the next event is popped from the end.
    this.queue.splice(low, 0, entry);
  }

  /** An object is shown as JSON; it must not change any more. */
  say(who: string, what: string | object): void {
    this.said.push({ at: this.now, who, what });
  }

  /** What was said, and when. Few are ever read, so it is written only then. */
  transcript(): string[] {
    return this.said.map(
      ({ at, who, what }) =>
        `${at.toFixed(1).padStart(10)} ${who.padEnd(12)} ${typeof what === 'string' ? what : JSON.stringify(what)}`,
    );
  }

  end(): void {
    this.ended = true;
  }

  /**
   * Runs until ended, or `deadline` ms of virtual time. Resolves with true if it ended. What promises lead to happens before the next
   * event.
   */
  async run(deadline: number): Promise<boolean> {
    for (let events = 0; events < MAX_EVENTS && !this.ended; events++) {
      const next = this.queue.pop();
      if (next === undefined || next.at > deadline) return false;
      this.now = next.at;
      next.run();
      await promisesAreDone();
    }
    return this.ended;
  }
}
