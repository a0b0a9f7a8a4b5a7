/**
 * Keeps a ring member's sockets from looking dead, and notices those that are. Both ends of a socket send pings at the
 * heartbeat's pace, whatever else they wait for, and either end counts the bytes that come (silence.ts).
 *
 * Bounded. A ping or pong is left out while anything is queued for the socket: what is queued is itself a sign of life once it
 * moves, and a successor that does not read for minutes must not make the queue grow. (ws' own answers to pings would: it
 * even ends the connection at 60 of them.)
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Clock } from '../clock.js';
import { RingError } from '../errors.js';
import { SilenceClock } from '../silence.js';
import { timeoutsFrom } from '../timeouts.js';

/** One socket and who is at its other end. */
export type End = { readonly peer: string; readonly ws: WebSocket; readonly socket: Socket };

/** Answers the neighbour's pings. For sockets whose `autoPong` is off. */
export function answerPings({ ws, socket }: Omit<End, 'peer'>): void {
  ws.on('ping', (data: Buffer) => {
    if (mayPing({ ws, socket })) ws.pong(data);
  });
}

function mayPing({ ws, socket }: Omit<End, 'peer'>): boolean {
  return ws.readyState === ws.OPEN && socket.writableLength === 0;
}

/** Pings and watches the given sockets (those that are open) with one timer, until `stop`. */
export class Keepalive<E extends End> {
  readonly #stop: () => void;
  readonly #watched: readonly { readonly end: E; readonly silence: SilenceClock }[];
  readonly #clock: Clock;
  readonly #pingMs: number;
  readonly #onSilent: (end: E, error: RingError) => void;
  readonly #timeoutMs: number;
  #lastPing: number;

  /** onSilent: nothing came from that end for heartbeatTimeoutMs (E_RING_PEER_SILENT); the keepalive has stopped. */
  constructor(options: {
    readonly ends: readonly E[];
    readonly heartbeatTimeoutMs: number;
    readonly clock: Clock;
    readonly onSilent: (end: E, error: RingError) => void;
  }) {
    const { ends, heartbeatTimeoutMs, clock, onSilent } = options;
    const { heartbeatIntervalMs, ringSilenceMs, ringTickMs } = timeoutsFrom(heartbeatTimeoutMs);
    const watch = { timeoutMs: ringSilenceMs, tickMs: ringTickMs, now: clock.now() };
    this.#watched = ends.map((end) => ({ end, silence: new SilenceClock(watch) }));
    this.#clock = clock;
    this.#pingMs = heartbeatIntervalMs;
    this.#onSilent = onSilent;
    this.#timeoutMs = ringSilenceMs;
    this.#lastPing = watch.now;
    this.#stop = clock.every(ringTickMs, () => this.#tick());
  }

  stop(): void {
    this.#stop();
  }

  #tick(): void {
    const now = this.#clock.now();
    const pingDue = now - this.#lastPing >= this.#pingMs;
    if (pingDue) this.#lastPing = now;
    for (const { end, silence } of this.#watched) {
      if (pingDue && mayPing(end)) end.ws.ping();
      // One that connects or closes has other timers, and an event at the end.
      const reading = end.ws.readyState === end.ws.OPEN && !end.ws.isPaused;
      if (!silence.isSilent({ now, bytesReceived: end.socket.bytesRead, reading })) continue;
      this.stop();
      this.#onSilent(end, silenceOf(end.peer, this.#timeoutMs));
      return;
    }
  }
}

function silenceOf(peer: string, timeoutMs: number): RingError {
  return new RingError(
    'E_RING_PEER_SILENT',
    `nothing came from ${peer} for ${timeoutMs} ms though its socket is open; join the next generation, and check the network between the two if this repeats`,
    peer,
  );
}
