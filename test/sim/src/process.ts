/** What every simulated process has in common: it runs, stands still for a while, or is gone. */
import type { Cluster } from './cluster.js';

export abstract class SimulatedProcess {
  alive = true;
  private frozenUntil = 0;

  constructor(
    readonly id: string,
    protected readonly cluster: Cluster,
  ) {}

  /** Runs `action` as soon as this process can run, if it still lives then. */
  post(action: () => void): void {
    if (!this.alive) return;
    const { world } = this.cluster;
    if (world.now < this.frozenUntil) world.after(this.frozenUntil - world.now, () => this.post(action));
    else action();
  }

  freeze(duration: number): void {
    this.frozenUntil = Math.max(this.frozenUntil, this.cluster.world.now + duration);
    this.say(`frozen for ${duration.toFixed(0)} ms`);
  }

  protected say(what: string): void {
    this.cluster.world.say(this.id, what);
  }
}
