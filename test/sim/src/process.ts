/** What every simulated process has in common: it runs, stands still for a while, or is gone, and has clocks of its own. */
import { monotonicMs, wallMs, type Clocks } from '@lockstep/coordinator';
import type { Cluster } from './cluster.js';

/** The wall clocks' time at the start of a simulation; any date. */
const EPOCH_MS = 1_700_000_000_000;

export abstract class SimulatedProcess {
  alive = true;
  /** A monotonic clock begins somewhere else in each process; the wall clock jumps. */
  readonly clocks: Clocks;
  private wallOffset = 0;
  private frozenUntil = 0;

  constructor(
    readonly id: string,
    protected readonly cluster: Cluster,
  ) {
    const { world } = cluster;
    const started = world.now;
    this.clocks = {
      monotonicNow: () => monotonicMs(world.now - started),
      wallNow: () => wallMs(EPOCH_MS + world.now + this.wallOffset),
    };
  }

  /** Somebody sets this machine's wall clock, forwards or back. */
  setClock(milliseconds: number): void {
    this.wallOffset += milliseconds;
    this.say(`its clock is set by ${milliseconds.toFixed(0)} ms`);
  }

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
