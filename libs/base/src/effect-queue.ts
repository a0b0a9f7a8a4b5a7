/**
 * Effects are carried out one after another, in the order in which they were decided. What is decided while one is being carried
 * out waits behind those that are there already.
 */
export class EffectQueue<Effect> {
  private readonly pending: Effect[] = [];
  private readonly works: (() => void)[] = [];
  private busy = false;

  /**
   * @param perform carries one effect out. What it returns is waited for before the next one is begun, and must not reject. What it
   *   throws comes out of the call that had it carried out, and the effects behind it are dropped.
   */
  constructor(private readonly perform: (effect: Effect) => Promise<void> | undefined) {}

  /** Carries these out after those that wait; at once, if none does. */
  push(effects: readonly Effect[]): void {
    this.pending.push(...effects);
    this.drain();
  }

  /** Does a long work as soon as no effect waits: none of them is to be held up by it. */
  afterwards(work: () => void): void {
    this.works.push(work);
    this.drain();
  }

  /** Drops what waits. */
  clear(): void {
    this.pending.length = 0;
    this.works.length = 0;
  }

  private drain(): void {
    if (this.busy) return;
    this.busy = true;
    try {
      for (;;) {
        const effect = this.pending.shift();
        const work = effect === undefined ? this.works.shift() : undefined;
        if (effect === undefined && work === undefined) break;
        work?.();
        const wait = effect === undefined ? undefined : this.perform(effect);
        if (wait === undefined) continue;
        void wait.then(() => {
          this.busy = false;
          this.drain();
        });
        return;
      }
    } catch (error) {
      this.clear();
      this.busy = false;
      throw error;
    }
    this.busy = false;
  }
}
