/**
 * A port that is held before anything is written, and answered on after: a start that fails has then left nothing behind, and who
 * connects meanwhile waits instead of being refused.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { listening, type ListenAddress } from '@lockstep/comm';

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
