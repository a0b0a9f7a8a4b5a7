/** What every simulated process has in common: it runs, stands still for a while, or is gone; clocks, timers, waits are its own. */
import type { Clock } from '@lockstep/comm';
import { monotonicMs, wallMs, type Clocks } from '@lockstep/coordinator';
import type { Cluster } from './cluster.js';

/** The wall clocks' time at the start of a simulation; any date. */
const EPOCH_MS = 1_700_000_000_000;

export abstract class SimulatedProcess {
  alive = true;
  /** A monotonic clock begins somewhere else in each process; the wall clock jumps. */
  readonly clocks: Clocks;
  /** The same monotonic clock, with timers. */
  readonly clock: Clock;
  private timers = 0;
  private wallOffset = 0;
  private frozenUntil = 0;
  /** What came while it stood still. */
  private readonly backlog: (() => void)[] = [];

  constructor(
    readonly id: string,
    readonly cluster: Cluster,
  ) {
    const { world } = cluster;
    const started = world.now;
    this.clocks = {
      monotonicNow: () => monotonicMs(world.now - started),
      wallNow: () => wallMs(EPOCH_MS + world.now + this.wallOffset),
    };
    this.clock = {
      now: this.clocks.monotonicNow,
      after: (milliseconds, act) => this.timer(milliseconds, act, false),
      every: (milliseconds, act) => this.timer(milliseconds, act, true),
    };
  }

  /** Somebody sets this machine's wall clock, forwards or back. */
  setClock(milliseconds: number): void {
    this.wallOffset += milliseconds;
    this.say(`its clock is set by ${milliseconds.toFixed(0)} ms`);
  }

  /** Runs `action` as soon as this process can run, in the order of the calls, if it still lives then. */
  post(action: () => void): void {
    if (!this.alive) return;
    const { world } = this.cluster;
    if (world.now >= this.frozenUntil && this.backlog.length === 0) return action();
    this.backlog.push(action);
    if (this.backlog.length === 1) this.wake();
  }

  /** Runs `action` after a while, as soon as this process can. */
  later(low: number, high: number, action: () => void): void {
    const { world } = this.cluster;
    world.after(world.random.between(low, high), () => this.post(action));
  }

  /** Resolves after a while, as soon as this process can run; never if it ends before. */
  wait(low: number, high = low): Promise<void> {
    return new Promise((resolve) => this.later(low, high, resolve));
  }

  freeze(duration: number): void {
    this.frozenUntil = Math.max(this.frozenUntil, this.cluster.world.now + duration);
    this.say(`frozen for ${duration.toFixed(0)} ms`);
  }

  say(what: string | object): void {
    this.cluster.world.say(this.id, what);
  }

  /** It has ended in order: whatever it still waits for then would have kept a real process, or woken one that is over. */
  protected leavesNothing(connections: number): void {
    if (this.timers > 0) this.cluster.violation(`${this.id} ends with ${this.timers} timers running`);
    if (connections > 0) this.cluster.violation(`${this.id} ends with ${connections} connections open`);
  }

  /** One thing after another, when it can run again. */
  private wake(): void {
    const { world } = this.cluster;
    world.after(this.frozenUntil - world.now, () => {
      if (!this.alive) return;
      if (world.now < this.frozenUntil) return this.wake();
      this.backlog[0]?.();
      this.backlog.shift();
      if (this.backlog.length > 0) this.wake();
    });
  }

  private timer(milliseconds: number, act: () => void, again: boolean): () => void {
    const { world } = this.cluster;
    let running = true;
    this.timers += 1;
    const stop = (): void => {
      if (running) this.timers -= 1;
      running = false;
    };
    const due = (): void => {
      if (!running) return;
      if (again) world.after(milliseconds, () => this.post(due));
      else stop();
      act();
    };
    world.after(milliseconds, () => this.post(due));
    return stop;
  }
}
