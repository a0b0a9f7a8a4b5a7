/**
 * A worker's port: one HTTP server for its data plane. WebSocket upgrades at /ring?generation=G&from=ID are the successor
 * dialling for the payload; every other request goes to the worker (it serves its state there).
 *
 * A generation opens on all members at about the same time, never exactly: a dial of a newer generation than ours is held
 * until joinRing reaches it; a dial of an older one is refused with a close code.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { hostInUrl } from './messages.js';
import { RingError } from './errors.js';
import { RingLink } from './links.js';
import { CLOSE_CODES, Inbound, Outbound, leave } from './neighbours.js';
import { ReceiveArena, connectInto } from './receive-arena.js';
import { MAX_FRAME_BYTES, requireLittleEndian } from './wire.js';

/** Path of the successor's dial. */
export const RING_PATH = '/ring';
/** Early dials held at once. One generation brings one; more means that others are many generations ahead. */
export const MAX_HELD_DIALS = 16;
/** Pause before a failed dial is tried again: a predecessor's server is up before it joins, so failures are short. */
export const DIAL_RETRY_MS = 100;
/** At most a minute of refused connections; the caller's signal normally comes first. */
export const MAX_DIAL_ATTEMPTS = 600;
/** A TCP connection and an HTTP upgrade take milliseconds; after this the peer is taken for unreachable, and redialled. */
export const HANDSHAKE_TIMEOUT_MS = 5_000;

/** A generation is a u32 in every frame. */
export const MAX_GENERATION = 0xffff_ffff;

/** Where a member of the ring can be dialled. */
export type RingMember = { readonly id: string; readonly host: string; readonly port: number };

/** One line for the log: what happened, and its values. */
export type DataServerLog = (event: string, fields: Readonly<Record<string, string | number>>) => void;

export type DataServerOptions = {
  readonly host: string;
  /** 0 takes any free port; read it back from `port`. */
  readonly port: number;
  readonly selfId: string;
  readonly handleRequest?: RequestListener;
  readonly log?: DataServerLog;
  /** Milliseconds of a clock that never goes back, for RingStats. */
  readonly now?: () => number;
};

/** Both ends: no compression (gradients do not compress), no UTF-8 checks (no text), bounded frames. */
const SOCKET_OPTIONS = {
  perMessageDeflate: false,
  maxPayload: MAX_FRAME_BYTES,
  skipUTF8Validation: true,
  allowSynchronousEvents: true,
};

type HeldDial = { readonly generation: number; readonly outbound: Outbound };
/** The generation this server has joined or is joining. */
type Opened = {
  readonly generation: number;
  readonly successor: string | null;
  /** Aborts a join under way when a newer generation opens or the server closes. */
  readonly superseded: AbortController;
  /** Takes the successor's dial while the join awaits it; null before and after. */
  adopt: ((outbound: Outbound) => void) | null;
  link: RingLink | null;
};

export class DataServer {
  readonly #http: Server;
  readonly #wss = new WebSocketServer({ noServer: true, ...SOCKET_OPTIONS });
  readonly #selfId: string;
  readonly #log: DataServerLog;
  readonly #now: () => number;
  #held: HeldDial[] = [];
  #opened: Opened | null = null;

  /** Listens. Rejects with Node's error (EADDRINUSE...) or WireError E_WIRE_BYTE_ORDER. */
  static async listen(options: DataServerOptions): Promise<DataServer> {
    requireLittleEndian();
    const server = new DataServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#http.once('error', reject);
      server.#http.listen(options.port, options.host, resolve);
    });
    return server;
  }

  private constructor({ selfId, handleRequest, log, now }: DataServerOptions) {
    this.#selfId = selfId;
    this.#log = log ?? (() => undefined);
    this.#now = now ?? (() => performance.now());
    this.#http = createServer(
      { noDelay: true },
      handleRequest ??
        ((_request, response) => {
          response.writeHead(404).end();
        }),
    );
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** The port that was bound. */
  get port(): number {
    const address = this.#http.address();
    if (address === null || typeof address === 'string') throw new Error('the data server is closed; listen again');
    return address.port;
  }

  /**
   * Joins the ring of a generation: dials the predecessor (again and again until it listens), awaits the successor's dial.
   * An older generation's link is closed, its all-reduce rejects with E_RING_ABORTED.
   * ring: all members in ring order, this worker among them, the same list on all of them.
   * Rejects with RingError: E_RING_STALE, E_RING_MEMBERS, E_RING_ABORTED, E_RING_REFUSED, E_RING_UNREACHABLE, E_RING_PROTOCOL.
   */
  async joinRing(options: { generation: number; ring: readonly RingMember[]; signal: AbortSignal }): Promise<RingLink> {
    const { generation, ring, signal } = options;
    const n = ring.length;
    const rank = this.#checkMembers(generation, ring);
    const successor = n === 1 ? null : ring[(rank + 1) % n].id;
    const opened = this.#open(generation, successor);
    const failed = new AbortController();
    const stop = AbortSignal.any([signal, opened.superseded.signal, failed.signal]);
    const inbound = n === 1 ? null : this.#dial(generation, ring[(rank + n - 1) % n], stop);
    const outbound = successor === null ? null : this.#awaitSuccessor(opened, successor, stop);
    try {
      // Both promises are awaited even if one fails, so that no socket is left behind.
      const [up, down] = await Promise.all([inbound, outbound]);
      stop.throwIfAborted();
      const neighbours = up !== null && down !== null ? { inbound: up, outbound: down } : null;
      opened.link = new RingLink({ generation, rank, n, neighbours, now: this.#now });
      this.#log('ring joined', { generation, rank, n });
      return opened.link;
    } catch (error) {
      failed.abort();
      for (const end of await Promise.allSettled([inbound, outbound])) {
        if (end.status === 'fulfilled' && end.value !== null) leave(end.value.ws, CLOSE_CODES.aborted);
      }
      if (error instanceof RingError) throw error;
      throw aborted(generation, error);
    }
  }

  /** Closes the link, refuses whoever is held, stops listening. Open state downloads are cut. */
  async close(): Promise<void> {
    this.#supersede();
    for (const { outbound } of this.#held) leave(outbound.ws, CLOSE_CODES.aborted);
    this.#held = [];
    const closed = new Promise<void>((resolve) => {
      this.#http.close(() => resolve());
    });
    this.#http.closeAllConnections();
    this.#wss.close();
    await closed;
  }

  #checkMembers(generation: number, ring: readonly RingMember[]): number {
    if (!Number.isInteger(generation) || generation < 0 || generation > MAX_GENERATION) {
      throw new RingError(
        'E_RING_STALE',
        `generation ${generation} is not an integer in 0..${MAX_GENERATION}; take it from the plan`,
      );
    }
    if (this.#opened !== null && generation <= this.#opened.generation) {
      throw new RingError(
        'E_RING_STALE',
        `generation ${generation} after ${this.#opened.generation}; join only newer ones`,
      );
    }
    const rank = ring.findIndex(({ id }) => id === this.#selfId);
    if (rank === -1 || new Set(ring.map(({ id }) => id)).size !== ring.length) {
      throw new RingError(
        'E_RING_MEMBERS',
        `the ring [${ring.map(({ id }) => id).join(', ')}] must hold ${this.#selfId} and nobody twice; check the plan`,
      );
    }
    return rank;
  }

  #supersede(): void {
    this.#opened?.superseded.abort();
    this.#opened?.link?.close();
  }

  #open(generation: number, successor: string | null): Opened {
    this.#supersede();
    const opened = { generation, successor, superseded: new AbortController(), adopt: null, link: null };
    this.#opened = opened;
    const old = this.#held.filter((dial) => dial.generation < generation);
    for (const { outbound } of old) refuse(outbound, CLOSE_CODES.staleGeneration);
    this.#held = this.#held.filter((dial) => dial.generation >= generation);
    return opened;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until ws takes over, a peer that resets must not throw here.
    socket.on('error', () => undefined);
    const target = request.url ?? '/';
    const url = URL.canParse(target, 'http://worker') ? new URL(target, 'http://worker') : null;
    const generation = url?.searchParams.get('generation') ?? '';
    const from = url?.searchParams.get('from') ?? '';
    if (url?.pathname !== RING_PATH || !/^\d{1,10}$/.test(generation) || from === '') {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#wss.handleUpgrade(request, socket, head, (ws) =>
      this.#dialled(Number(generation), new Outbound(from, ws, socket)),
    );
  }

  #dialled(generation: number, outbound: Outbound): void {
    const opened = this.#opened;
    if (opened === null || generation > opened.generation) this.#hold({ generation, outbound });
    else if (generation < opened.generation) refuse(outbound, CLOSE_CODES.staleGeneration);
    else if (outbound.peer !== opened.successor) refuse(outbound, CLOSE_CODES.notSuccessor);
    else if (opened.adopt === null) refuse(outbound, CLOSE_CODES.duplicate);
    else opened.adopt(outbound);
  }

  #hold(dial: HeldDial): void {
    this.#log('early dial held', { generation: dial.generation, from: dial.outbound.peer });
    this.#held = [...this.#held.filter(({ outbound }) => !outbound.closed), dial];
    if (this.#held.length <= MAX_HELD_DIALS) return;
    // The oldest generation is the least likely one to open still.
    const oldest = this.#held.reduce((a, b) => (b.generation < a.generation ? b : a));
    refuse(oldest.outbound, CLOSE_CODES.tooManyHeld);
    this.#held = this.#held.filter((other) => other !== oldest);
  }

  async #awaitSuccessor(opened: Opened, successor: string, stop: AbortSignal): Promise<Outbound> {
    const early = this.#held.filter((dial) => dial.generation === opened.generation);
    this.#held = this.#held.filter((dial) => dial.generation !== opened.generation);
    const outbound = await new Promise<Outbound>((resolve, reject) => {
      opened.adopt = resolve;
      stop.addEventListener('abort', () => reject(aborted(opened.generation, stop.reason)), { once: true });
      if (stop.aborted) reject(aborted(opened.generation, stop.reason));
      for (const dial of early.filter((held) => !held.outbound.closed)) this.#dialled(dial.generation, dial.outbound);
    }).finally(() => {
      opened.adopt = null;
    });
    outbound.accept(opened.generation);
    this.#log('successor accepted', { generation: opened.generation, successor });
    return outbound;
  }

  async #dial(generation: number, member: RingMember, stop: AbortSignal): Promise<Inbound> {
    const query = new URLSearchParams({ generation: String(generation), from: this.#selfId });
    const url = `ws://${hostInUrl(member.host)}:${member.port}${RING_PATH}?${query.toString()}`;
    let last: unknown = null;
    for (let attempt = 1; attempt <= MAX_DIAL_ATTEMPTS; attempt++) {
      const arena = new ReceiveArena();
      const ws = new WebSocket(url, {
        ...SOCKET_OPTIONS,
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        createConnection: () => connectInto(arena, { host: member.host, port: member.port, noDelay: true }),
      });
      const inbound = new Inbound(member.id, ws, generation, arena);
      const onAbort = () => ws.terminate();
      stop.addEventListener('abort', onAbort, { once: true });
      if (stop.aborted) ws.terminate();
      try {
        await inbound.accepted;
        return inbound;
      } catch (error) {
        if (stop.aborted) throw aborted(generation, stop.reason);
        if (error instanceof RingError && (error.code === 'E_RING_REFUSED' || error.code === 'E_RING_PROTOCOL'))
          throw error;
        last = error;
      } finally {
        stop.removeEventListener('abort', onAbort);
      }
      await sleep(DIAL_RETRY_MS, undefined, { signal: stop });
    }
    throw new RingError(
      'E_RING_UNREACHABLE',
      `${member.id} at ${hostInUrl(member.host)}:${member.port} did not answer ${MAX_DIAL_ATTEMPTS} dials; check its host, port and firewall`,
      member.id,
      { cause: last },
    );
  }
}

function refuse(outbound: Outbound, code: number): void {
  const names: Record<number, string> = {
    [CLOSE_CODES.staleGeneration]: 'stale generation',
    [CLOSE_CODES.notSuccessor]: 'not my successor',
    [CLOSE_CODES.tooManyHeld]: 'too many early dials',
    [CLOSE_CODES.duplicate]: 'duplicate dial',
  };
  leave(outbound.ws, code, names[code]);
}

function aborted(generation: number, cause: unknown): RingError {
  return new RingError('E_RING_ABORTED', `joining generation ${generation} was aborted; wait for the next plan`, null, {
    cause,
  });
}
