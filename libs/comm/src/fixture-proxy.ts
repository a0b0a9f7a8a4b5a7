/** A TCP proxy for tests that turns a good connection into a bad one: silent in one direction or both, or slow. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';

export type Direction = 'toServer' | 'toClient';

/** Bytes of one portion over a slow link, and milliseconds between two: 200 KB/s, so that a full frame takes over a second. */
const PORTION_BYTES = 4_000;
const PORTION_MS = 20;

export class Proxy {
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#connected(client));
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  readonly #isSlow: boolean;
  #swallowed: readonly Direction[] = [];

  /** Listens on 127.0.0.1 in front of a port there; the test closes it. */
  static async before(
    t: TestContext,
    target: number,
    { isSlow = false } = {},
  ): Promise<{ proxy: Proxy; port: number }> {
    const proxy = new Proxy(target, isSlow);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    t.after(() => {
      for (const socket of proxy.#sockets) socket.destroy();
      proxy.#server.close();
    });
    const address = proxy.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    return { proxy, port: address.port };
  }

  private constructor(target: number, isSlow: boolean) {
    this.#target = target;
    this.#isSlow = isSlow;
  }

  /** From now on, what goes in these directions disappears, ends of connections too. Connections stay open. */
  swallow(...directions: Direction[]): void {
    this.#swallowed = directions;
  }

  #connected(client: Socket): void {
    const server = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    this.#carry(client, server, 'toServer');
    this.#carry(server, client, 'toClient');
  }

  #carry(from: Socket, to: Socket, direction: Direction): void {
    this.#sockets.add(from);
    const swallows = () => this.#swallowed.includes(direction);
    from.on('error', () => undefined);
    from.on('end', () => {
      if (!swallows()) to.end();
    });
    from.on('close', () => {
      if (!swallows()) to.destroy();
    });
    if (this.#isSlow) {
      const timer = setInterval(() => {
        const portion: unknown = from.read(Math.min(PORTION_BYTES, from.readableLength));
        if (Buffer.isBuffer(portion) && !swallows()) to.write(portion);
      }, PORTION_MS);
      from.on('readable', () => undefined);
      from.on('close', () => clearInterval(timer));
      return;
    }
    from.on('data', (bytes: Buffer) => {
      if (swallows() || to.write(bytes)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
  }
}
