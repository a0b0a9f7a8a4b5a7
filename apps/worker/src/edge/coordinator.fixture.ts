/** The coordinator's end of one control connection, played by a test: it says what it likes and reads what comes. */
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  CONTROL_PATH,
  parseWorkerMessage,
  sendMessage,
  unpackMessage,
  type CoordinatorMessage,
  type WorkerMessage,
} from '@lockstep/comm';

type Of<T extends WorkerMessage['type']> = Extract<WorkerMessage, { type: T }>;

export class PlayedCoordinator {
  /** What came and was not read yet, heartbeats and early buckets left out. */
  private unread: WorkerMessage[] = [];
  /** The early buckets that were reported, in order. */
  readonly early: Of<'early'>[] = [];
  private waiting: () => void = () => undefined;
  private socket: WebSocket | null = null;

  private constructor(
    private readonly http: Server,
    private readonly wss: WebSocketServer,
  ) {
    wss.on('connection', (socket) => {
      this.socket = socket;
      socket.on('message', (data) => {
        const message = parseWorkerMessage(unpackMessage(data));
        if (message.type === 'early') this.early.push(message);
        else if (message.type !== 'heartbeat') this.unread.push(message);
        this.waiting();
      });
    });
  }

  /** `serve` answers HTTP. */
  static async listen(serve: RequestListener): Promise<PlayedCoordinator> {
    const http = createServer(serve);
    const wss = new WebSocketServer({ server: http, path: CONTROL_PATH });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return new PlayedCoordinator(http, wss);
  }

  get url(): string {
    const address = this.http.address();
    if (address === null || typeof address === 'string') throw new Error('not listening');
    return `ws://127.0.0.1:${address.port}`;
  }

  say(message: CoordinatorMessage): void {
    if (this.socket === null) throw new Error('nobody is connected');
    sendMessage(this.socket, message);
  }

  /** Sends bytes that need not be a message. */
  sayBytes(bytes: Buffer): void {
    this.socket?.send(bytes);
  }

  /** The next message. */
  async readAny(): Promise<WorkerMessage> {
    for (;;) {
      const message = this.unread.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => (this.waiting = resolve));
    }
  }

  /** The next message, which must be of this type. */
  async read<T extends WorkerMessage['type']>(type: T): Promise<Of<T>> {
    const message = await this.readAny();
    const isOf = (given: WorkerMessage): given is Of<T> => given.type === type;
    if (!isOf(message)) throw new Error(`expected ${type}, read ${JSON.stringify(message).slice(0, 500)}`);
    return message;
  }

  /** Cuts the connection as a crash would. */
  drop(): void {
    this.socket?.terminate();
  }

  async close(): Promise<void> {
    this.drop();
    this.wss.close();
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }
}
