/**
 * A worker's port: one HTTP server for its data plane. WebSocket upgrades at /ring?generation=G&tier=0&from=ID are the
 * successor dialling for the payload; every other request goes to the worker (it serves its state there). What a web page asks is
 * turned away first (request-origin.ts).
 *
 * Tier 0 is the ring that every member is in (its group's, where there are two tiers), tier 1 the leaders' (tiers.ts).
 *
 * A generation opens on all members at about the same time, never exactly: a dial of a newer generation than ours is held
 * until joinRing reaches it; a dial of an older one is refused with a close code.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import type { Server as SocketServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { MONOTONIC } from '../clock.js';
import type { Clock } from '../clock.js';
import { RING_PATH, SOCKET_OPTIONS, aborted, dialPredecessor } from './dial.js';
import type { RingId } from './dial.js';
import { RingError } from '../errors.js';
import { RingLink, departure } from './links.js';
import type { AllReduceLink } from './links.js';
import { listening } from '../http/listening.js';
import { localPath } from './local-socket.js';
import type { Place, RingPlace } from '../control/messages.js';
import { CLOSE_CODES, Outbound, leave } from './neighbours.js';
import { RequestGate } from '../http/request-gate.js';
import { TieredLink } from './tiers.js';
import { requireLittleEndian } from './wire.js';

/** Early dials held at once. One generation brings one or two; more means that others are many generations ahead. */
export const MAX_HELD_DIALS = 16;
/** A generation is a u32 in every frame. */
export const MAX_GENERATION = 0xffff_ffff;

/** A generation's rings, as one member needs to know them. */
export type JoinOptions = {
  readonly generation: number;
  /** This worker's place; it knows only its neighbours, so that a message to a worker does not grow with their number. */
  readonly place: Place;
  /** A neighbour that cannot be dialled, or is not heard, for so long is lost. */
  readonly heartbeatTimeoutMs: number;
  readonly signal: AbortSignal;
};

/** One line for the log: what happened, and its values. */
export type DataServerLog = (event: string, fields: Readonly<Record<string, string | number>>) => void;

export type DataServerOptions = {
  readonly host: string;
  /** 0 takes any free port; read it back from `port`. */
  readonly port: number;
  readonly selfId: string;
  /** What it is called besides `host`: see serverNames. */
  readonly names?: readonly string[];
  /** Neighbours on this host may dial here too (local-socket.ts). Null or left out: over TCP only. */
  readonly localName?: string | null;
  readonly handleRequest?: RequestListener;
  readonly log?: DataServerLog;
  /** By which silence, patience and RingStats are measured; the time that passes if left out. */
  readonly clock?: Clock;
};

/** A successor's dial. */
type Dial = RingId & { readonly outbound: Outbound };
/** A ring of the generation that this server has joined or is joining. */
type Tier = {
  readonly place: RingPlace;
  /** Takes the successor's dial while the join awaits it; null before and after. */
  adopt: ((outbound: Outbound) => void) | null;
};
type Opened = {
  readonly generation: number;
  readonly tiers: readonly Tier[];
  /** Aborts a join under way when a newer generation opens or the server closes. */
  readonly superseded: AbortController;
  link: AllReduceLink | null;
};

const REFUSALS: Readonly<Record<number, string>> = {
  [CLOSE_CODES.staleGeneration]: 'stale generation',
  [CLOSE_CODES.notSuccessor]: 'not my successor',
  [CLOSE_CODES.tooManyHeld]: 'too many early dials',
  [CLOSE_CODES.duplicate]: 'duplicate dial',
};

export class DataServer {
  readonly #http: Server;
  /** Hands its connections to #http. */
  readonly #localServer: SocketServer;
  #local: string | null = null;
  readonly #wss = new WebSocketServer({ noServer: true, ...SOCKET_OPTIONS });
  readonly #selfId: string;
  readonly #gate: RequestGate;
  readonly #log: DataServerLog;
  readonly #clock: Clock;
  #held: Dial[] = [];
  #opened: Opened | null = null;

  /** Listens. Rejects with ListenError E_PORT_IN_USE, E_LISTEN, or WireError E_WIRE_BYTE_ORDER. */
  static async listen(options: DataServerOptions): Promise<DataServer> {
    requireLittleEndian();
    const server = new DataServer(options);
    await listening(server.#http, options);
    if (typeof options.localName === 'string') await server.#listenLocally(options.localName);
    return server;
  }

  /** A system that cannot is no failure: there is TCP. */
  async #listenLocally(name: string): Promise<void> {
    this.#local = await new Promise((resolve) => {
      this.#localServer.once('error', (error) => {
        this.#log('no local socket', { reason: error.message });
        resolve(null);
      });
      this.#localServer.listen(localPath(name), () => resolve(name));
    });
  }

  private constructor({ host, names, selfId, handleRequest, log, clock }: DataServerOptions) {
    this.#selfId = selfId;
    this.#gate = new RequestGate(host, names);
    this.#log = log ?? (() => undefined);
    this.#clock = clock ?? MONOTONIC;
    this.#http = createServer({ noDelay: true }, (request, response) => {
      if (this.#gate.turnsAway(request, response)) return;
      if (handleRequest === undefined) response.writeHead(404).end();
      else handleRequest(request, response);
    });
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#localServer = createSocketServer((socket) => this.#http.emit('connection', socket));
  }

  /** The name under which neighbours on this host reach it, for `Member.local`; null if there is none. */
  get local(): string | null {
    return this.#local;
  }

  /** The port that was bound. */
  get port(): number {
    const address = this.#http.address();
    if (address === null || typeof address === 'string') throw new Error('the data server is closed; listen again');
    return address.port;
  }

  /**
   * Joins the rings of a generation: dials the predecessors (again and again until they listen), awaits the successors' dials.
   * An older generation's link is closed, its all-reduce rejects with E_RING_ABORTED. A ring of one opens no socket.
   * Rejects with RingError: E_RING_STALE, E_RING_MEMBERS, E_RING_ABORTED, E_RING_REFUSED, E_RING_UNREACHABLE,
   * E_RING_PEER_SILENT, E_RING_PROTOCOL; E_RING_PEER_LOST if one ring breaks while the other forms.
   */
  async joinRing({ generation, place, heartbeatTimeoutMs, signal }: JoinOptions): Promise<AllReduceLink> {
    this.#check(generation, place);
    const opened = this.#open(generation, place.leaders === null ? [place] : [place, place.leaders]);
    const failed = new AbortController();
    const stop = AbortSignal.any([signal, opened.superseded.signal, failed.signal]);
    const joining = opened.tiers.map((_, tier) => this.#joinTier(opened, tier, { heartbeatTimeoutMs, stop, failed }));
    try {
      const [group, leaders] = await Promise.all(joining);
      stop.throwIfAborted();
      opened.link = place.size === place.total ? group : new TieredLink({ group, leaders: leaders ?? null });
      const { rank, size, total } = place;
      this.#log('ring joined', { generation, rank, size, total });
      return opened.link;
    } catch (error) {
      failed.abort(error);
      // All are awaited even if one fails, so that no socket is left behind.
      for (const end of await Promise.allSettled(joining)) {
        if (end.status === 'fulfilled') end.value.close(departure(true));
      }
      const first: unknown = failed.signal.reason;
      throw first instanceof RingError ? first : aborted(generation, error);
    }
  }

  /** Joins one ring of the generation. A failure, also one after the ring has formed, aborts `failed`. */
  async #joinTier(
    opened: Opened,
    tier: number,
    options: { heartbeatTimeoutMs: number; stop: AbortSignal; failed: AbortController },
  ): Promise<RingLink> {
    const { heartbeatTimeoutMs, stop, failed } = options;
    const { generation } = opened;
    const { rank, size: n, predecessor } = opened.tiers[tier].place;
    const [selfId, clock] = [this.#selfId, this.#clock];
    const dial = { ring: { generation, tier }, selfId, member: predecessor, heartbeatTimeoutMs, clock, stop };
    const inbound = n === 1 ? null : dialPredecessor(dial);
    const outbound = n === 1 ? null : this.#awaitSuccessor(opened, tier, stop);
    try {
      const [up, down] = await Promise.all([inbound, outbound]);
      stop.throwIfAborted();
      const neighbours = up !== null && down !== null ? { inbound: up, outbound: down } : null;
      const link = new RingLink({ generation, selfId, rank, n, neighbours, heartbeatTimeoutMs, clock });
      if (up !== null) this.#log('predecessor reached', { generation, tier, over: up.transport });
      void link.ended.then(({ error }) => failed.abort(error));
      return link;
    } catch (error) {
      failed.abort(error);
      for (const end of await Promise.allSettled([inbound, outbound])) {
        if (end.status === 'fulfilled' && end.value !== null) leave(end.value.ws, clock, CLOSE_CODES.aborted);
      }
      throw error;
    }
  }

  /** Closes the link, refuses whoever is held, stops listening. Open state downloads are cut. */
  async close(): Promise<void> {
    this.#supersede();
    for (const { outbound } of this.#held) leave(outbound.ws, this.#clock, CLOSE_CODES.aborted);
    this.#held = [];
    const closed = [this.#http, this.#localServer].map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    this.#http.closeAllConnections();
    this.#wss.close();
    await Promise.all(closed);
  }

  #check(generation: number, place: Place): void {
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
    const { rank, size, total, leaders } = place;
    // Two tiers have groups smaller than the whole, at least two of them, and each group's first in the leaders' ring.
    const tiersFit =
      size === total
        ? leaders === null
        : size < total && (leaders === null ? rank > 0 : rank === 0 && leaders.size > 1);
    const odd = [place, ...(leaders === null ? [] : [leaders])].find((ring) => !this.#fits(ring)) ?? null;
    if (odd !== null || !tiersFit) {
      const { predecessor, successor } = odd ?? place;
      throw new RingError(
        'E_RING_MEMBERS',
        `${this.#selfId} cannot be rank ${(odd ?? place).rank} of ${(odd ?? place).size} between ${predecessor.id} and ${successor}, of ${total} in all; check the plan`,
      );
    }
  }

  /** Whether a ring can have this place. */
  #fits({ rank, size, predecessor, successor }: RingPlace): boolean {
    // A ring of one has this worker on both sides, one of two the same other worker, a longer one two others.
    const others = new Set([this.#selfId, predecessor.id, successor]).size - 1;
    const alone = predecessor.id === this.#selfId || successor === this.#selfId;
    const inRange = Number.isInteger(size) && Number.isInteger(rank) && rank >= 0 && rank < size;
    return inRange && others === Math.min(size - 1, 2) && alone === (size === 1);
  }

  #supersede(): void {
    this.#opened?.superseded.abort();
    this.#opened?.link?.close();
  }

  #open(generation: number, places: readonly RingPlace[]): Opened {
    this.#supersede();
    const tiers = places.map((place) => ({ place, adopt: null }));
    const opened = { generation, tiers, superseded: new AbortController(), link: null };
    this.#opened = opened;
    const old = this.#held.filter((dial) => dial.generation < generation);
    for (const { outbound } of old) this.#refuse(outbound, CLOSE_CODES.staleGeneration);
    this.#held = this.#held.filter((dial) => dial.generation >= generation);
    return opened;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until ws takes over, a peer that resets must not throw here.
    socket.on('error', () => undefined);
    if (this.#gate.turnsAwayUpgrade(request, socket)) return;
    const target = request.url ?? '/';
    const url = URL.canParse(target, 'http://worker') ? new URL(target, 'http://worker') : null;
    const generation = url?.searchParams.get('generation') ?? '';
    const tier = url?.searchParams.get('tier') ?? '';
    const from = url?.searchParams.get('from') ?? '';
    if (url?.pathname !== RING_PATH || !/^\d{1,10}$/.test(generation) || !/^[01]$/.test(tier) || from === '') {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#wss.handleUpgrade(request, socket, head, (ws) =>
      this.#dialled({
        generation: Number(generation),
        tier: Number(tier),
        outbound: new Outbound(from, ws, request.socket, this.#clock),
      }),
    );
  }

  #dialled(dial: Dial): void {
    const { generation, outbound } = dial;
    const opened = this.#opened;
    const tier = opened?.tiers.at(dial.tier);
    if (opened === null || generation > opened.generation) this.#hold(dial);
    else if (generation < opened.generation) this.#refuse(outbound, CLOSE_CODES.staleGeneration);
    else if (outbound.peer !== tier?.place.successor) this.#refuse(outbound, CLOSE_CODES.notSuccessor);
    else if (tier.adopt === null) this.#refuse(outbound, CLOSE_CODES.duplicate);
    else tier.adopt(outbound);
  }

  #hold(dial: Dial): void {
    const { generation, tier, outbound } = dial;
    this.#log('early dial held', { generation, tier, from: outbound.peer });
    this.#held = [...this.#held.filter((other) => !other.outbound.closed), dial];
    if (this.#held.length <= MAX_HELD_DIALS) return;
    // The oldest generation is the least likely one to open still.
    const oldest = this.#held.reduce((a, b) => (b.generation < a.generation ? b : a));
    this.#refuse(oldest.outbound, CLOSE_CODES.tooManyHeld);
    this.#held = this.#held.filter((other) => other !== oldest);
  }

  async #awaitSuccessor(opened: Opened, number: number, stop: AbortSignal): Promise<Outbound> {
    const { generation } = opened;
    const tier = opened.tiers[number];
    const isEarly = (dial: Dial) => dial.generation === generation && dial.tier === number;
    const early = this.#held.filter(isEarly);
    this.#held = this.#held.filter((dial) => !isEarly(dial));
    const outbound = await new Promise<Outbound>((resolve, reject) => {
      tier.adopt = resolve;
      stop.addEventListener('abort', () => reject(aborted(generation, stop.reason)), { once: true });
      if (stop.aborted) reject(aborted(generation, stop.reason));
      for (const dial of early.filter((held) => !held.outbound.closed)) this.#dialled(dial);
    }).finally(() => {
      tier.adopt = null;
    });
    outbound.accept(generation);
    this.#log('successor accepted', { generation, tier: number, successor: outbound.peer });
    return outbound;
  }

  #refuse(outbound: Outbound, code: number): void {
    leave(outbound.ws, this.#clock, code, REFUSALS[code]);
  }
}
