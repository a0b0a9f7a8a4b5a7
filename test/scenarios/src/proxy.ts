/** A TCP proxy that can fall silent with its connections open, or slow down: what a bad network does to a good process. */
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { LOCAL } from './local.js';

/** A slow direction takes in this much ahead of its pace, then leaves the rest to TCP's backpressure. Bytes. */
const MAX_QUEUED_BYTES = 256 * 1024;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Pace {
  readonly bytesPerSecond: number;
  /** Added to each byte's way. Milliseconds. */
  readonly delayMs: number;
}

/** Bytes from one socket to another. */
class Direction {
  private readonly queue: { readonly due: number; readonly chunk: Buffer }[] = [];
  private queued = 0;
  private lastDue = 0;
  private timer: NodeJS.Timeout | null = null;
  private silent = false;
  private ended = false;

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly pace: () => Pace | null,
  ) {
    from.on('data', (chunk: Buffer) => this.take(chunk));
    const end = (): void => {
      this.ended = true;
      this.send();
    };
    from.on('end', end);
    from.on('close', end);
    from.on('error', () => undefined);
    to.on('drain', () => this.send());
  }

  /** From now on nothing passes, and nobody is told. */
  fallSilent(): void {
    this.silent = true;
    this.from.pause();
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private take(chunk: Buffer): void {
    const pace = this.pace();
    const now = performance.now();
    const due =
      pace === null
        ? Math.max(now, this.lastDue)
        : Math.max(now + pace.delayMs, this.lastDue) + (1000 * chunk.length) / pace.bytesPerSecond;
    this.lastDue = due;
    this.queue.push({ due, chunk });
    this.queued += chunk.length;
    if (this.queued > MAX_QUEUED_BYTES) this.from.pause();
    this.send();
  }

  private send(): void {
    if (this.silent) return;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    for (let first = this.queue[0]; first !== undefined; first = this.queue[0]) {
      const wait = first.due - performance.now();
      if (wait > 0) {
        this.timer = setTimeout(() => this.send(), wait);
        return;
      }
      if (this.to.writableNeedDrain) return;
      this.queue.shift();
      this.queued -= first.chunk.length;
      this.to.write(first.chunk);
    }
    if (this.ended) this.to.end();
    else this.from.resume();
  }
}

export class Proxy {
  private readonly directions = new Set<Direction>();
  private readonly sockets = new Set<Socket>();
  private pace: Pace | null = null;

  private constructor(
    private readonly server: Server,
    target: () => Address,
  ) {
    server.on('connection', (near) => {
      const far = connect({ ...target(), allowHalfOpen: true });
      const pace = (): Pace | null => this.pace;
      const both = [new Direction(near, far, pace), new Direction(far, near, pace)];
      for (const direction of both) this.directions.add(direction);
      let open = 2;
      for (const socket of [near, far]) {
        socket.setNoDelay(true);
        this.sockets.add(socket);
        socket.on('close', () => {
          this.sockets.delete(socket);
          open -= 1;
          if (open === 0) for (const direction of both) this.directions.delete(direction);
        });
      }
      // Nobody listens there: the dialler must hear of it. What comes later is told, or not, by the directions.
      const refused = (): unknown => near.destroy();
      far.once('error', refused);
      far.once('connect', () => far.off('error', refused));
    });
  }

  /** Listens at `at` (port 0: any free one). Rejects with the system's error. */
  static async listen(at: Address, target: () => Address): Promise<Proxy> {
    // One direction may end while the other still has something to say.
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at.port, at.host, resolve);
    });
    return new Proxy(server, target);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** The connections that are open now become half-open: bytes vanish both ways, nobody is told. New ones work. */
  blackhole(): number {
    for (const direction of this.directions) direction.fallSilent();
    return this.directions.size / 2;
  }

  /** Null: as fast as it goes. */
  setPace(pace: Pace | null): void {
    this.pace = pace;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/** A port of this process's own address that is free. */
export async function freePort(): Promise<number> {
  const proxy = await Proxy.listen({ host: LOCAL, port: 0 }, () => ({ host: LOCAL, port: 1 }));
  const { port } = proxy;
  await proxy.close();
  return port;
}
