/**
 * A clock that the test holds: it stands still until the test moves it, and between two of its steps the network delivers what was
 * sent. So no verdict follows from how fast this machine is, or from what else it does.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Clock } from '#src/clock.js';

/** Bytes sent there and back over loopback in one pause of the clock: what was sent before them has come through proxies too by then. */
const ROUND_TRIPS = 25;

/** A test that has not ended by then hangs, on the slowest machine too. Milliseconds. */
export const HANG_MS = 20 * 60_000;

type Timer = { at: number; readonly period: number | null; readonly act: () => void };

export class HeldClock implements Clock {
  readonly #timers = new Set<Timer>();
  #now = 0;
  #isReleased = false;
  #echo: Promise<{ readonly server: Server; readonly socket: Socket }> | null = null;

  /** The test ends what it holds. */
  constructor(t: TestContext) {
    t.after(() => this.release());
  }

  now(): number {
    return this.#now;
  }

  every(milliseconds: number, act: () => void): () => void {
    return this.#add({ at: this.#now + milliseconds, period: milliseconds, act });
  }

  after(milliseconds: number, act: () => void): () => void {
    if (!this.#isReleased) return this.#add({ at: this.#now + milliseconds, period: null, act });
    const due = setImmediate(act);
    return () => clearImmediate(due);
  }

  /** Time has gone on while this process stood still: what is due happens once, and nothing is delivered before. */
  jump(milliseconds: number): void {
    this.#now += milliseconds;
    for (const timer of this.#due()) this.#fire(timer);
  }

  /** Goes on, from one thing that is due to the next. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    while (this.#now < end) await this.#step(end);
  }

  /** Goes on until it `holds`. */
  async until(holds: () => boolean): Promise<void> {
    const hangs = performance.now() + HANG_MS;
    await this.settle();
    while (!holds()) {
      if (performance.now() > hangs) throw new Error('what is waited for does not come, however far the clock goes on');
      await this.#step(Infinity);
    }
  }

  /** Goes on until `work` has settled, and gives what it gave. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const note = (): void => {
      isOver = true;
    };
    work.then(note, note);
    await this.until(() => isOver);
    return await work;
  }

  /** Stands still until what was sent has been delivered. */
  async settle(): Promise<void> {
    this.#echo ??= echo();
    const { socket } = await this.#echo;
    for (let trip = 0; trip < ROUND_TRIPS; trip++) {
      socket.write('.');
      await once(socket, 'data');
    }
  }

  /** What anyone waits for, now or later, is over at once. */
  release(): void {
    this.#isReleased = true;
    for (const timer of [...this.#timers]) if (timer.period === null) this.#fire(timer);
    void this.#echo?.then(({ server, socket }) => {
      socket.destroy();
      server.close();
    });
  }

  async #step(end: number): Promise<void> {
    const next = Math.min(end, ...[...this.#timers].map(({ at }) => at));
    // Nothing may be due yet, while connections are made.
    if (next < Infinity) this.#now = Math.max(this.#now, next);
    for (const timer of this.#due()) this.#fire(timer);
    await this.settle();
  }

  #due(): Timer[] {
    return [...this.#timers].filter(({ at }) => at <= this.#now);
  }

  #fire(timer: Timer): void {
    // What came before it may have cancelled it.
    if (!this.#timers.has(timer)) return;
    if (timer.period === null) this.#timers.delete(timer);
    else timer.at = this.#now + timer.period;
    timer.act();
  }

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }
}

async function echo(): Promise<{ server: Server; socket: Socket }> {
  const server = createServer({ noDelay: true }, (socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return { server, socket };
}
