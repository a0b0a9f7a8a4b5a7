/**
 * A port that is held before anything is written, and answered on after: a start that fails has then left nothing behind, and who
 * connects meanwhile waits instead of being refused.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { listening, type ListenAddress } from '@lockstep/comm';
import type { Clocks } from '../decide/clocks.js';
import { noRoom, type Room } from './open-files.js';

/** A worker that is refused tries again and again: the log should not grow by that. Milliseconds. */
const WARNING_INTERVAL_MS = 60_000;

export interface PortHandlers {
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export class HeldPort {
  private handlers: PortHandlers | null = null;
  private early: ((handlers: PortHandlers) => void)[] = [];

  private constructor(readonly http: Server) {
    http.on('request', (request, response) => this.answer(({ onRequest }) => onRequest(request, response)));
    http.on('upgrade', (request, socket, head) => {
      // Until somebody answers it, a socket that breaks must not end the process.
      socket.on('error', () => socket.destroy());
      this.answer(({ onUpgrade }) => onUpgrade(request, socket, head));
    });
  }

  /** @throws ListenError E_PORT_IN_USE, E_LISTEN */
  static async take(address: ListenAddress): Promise<HeldPort> {
    const http = createServer();
    await listening(http, address);
    // From now on it is of one connection that could not be taken; the others go on.
    http.on('error', () => undefined);
    return new HeldPort(http);
  }

  get port(): number {
    return (this.http.address() as AddressInfo).port;
  }

  /** Answers what has come, and what comes from now on. */
  serve(handlers: PortHandlers): void {
    this.handlers = handlers;
    for (const answer of this.early.splice(0)) answer(handlers);
  }

  /** Takes no more connections than there is room for; `warn` hears of one that was refused, at most once a minute. */
  bound(room: Room, { monotonicNow }: Pick<Clocks, 'monotonicNow'>, warn: (text: string) => void): void {
    let told = -Infinity;
    this.http.maxConnections = room.connections;
    this.http.on('drop', () => {
      const now = monotonicNow();
      if (now - told < WARNING_INTERVAL_MS) return;
      told = now;
      warn(noRoom(room));
    });
  }

  /** Lets the port go, with all connections. */
  close(): void {
    this.http.close();
    this.http.closeAllConnections();
  }

  private answer(how: (handlers: PortHandlers) => void): void {
    if (this.handlers === null) this.early.push(how);
    else how(this.handlers);
  }
}
