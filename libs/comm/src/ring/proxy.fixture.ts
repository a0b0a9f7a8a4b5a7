/** A TCP proxy for tests that turns a good connection into a bad one: silent in one direction or both, or slow. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { Clock } from '#src/clock.js';

export type Direction = 'toServer' | 'toClient';

/** Over a slow link: so many bytes, each time that so many milliseconds have passed by its clock. */
export type Slowness = { readonly clock: Clock; readonly bytes: number; readonly everyMs: number };

export class Proxy {
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#connected(client));
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  readonly #slow: Slowness | null;
  #swallowed: readonly Direction[] = [];

  /** Listens on 127.0.0.1 in front of a port there; the test closes it. */
  static async before(
    t: TestContext,
    target: number,
    slow: Slowness | null = null,
  ): Promise<{ proxy: Proxy; port: number }> {
    const proxy = new Proxy(target, slow);
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

  private constructor(target: number, slow: Slowness | null) {
    this.#target = target;
    this.#slow = slow;
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
    if (this.#slow !== null) {
      const { clock, bytes, everyMs } = this.#slow;
      const stop = clock.every(everyMs, () => {
        const portion: unknown = from.read(Math.min(bytes, from.readableLength));
        if (Buffer.isBuffer(portion) && !swallows()) to.write(portion);
      });
      from.on('readable', () => undefined);
      from.on('close', stop);
      return;
    }
    from.on('data', (bytes: Buffer) => {
      if (swallows() || to.write(bytes)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
  }
}
