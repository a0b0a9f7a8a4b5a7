/**
 * The two sockets of a ring member. `Inbound`: we dialled the predecessor, payload comes from it. `Outbound`: the successor
 * dialled us, payload goes to it. As the payload's sender is always the WebSocket server, payload is never masked.
 */
import type { OnReadOpts, Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Clock } from '../clock.js';
import { RingError } from '../errors.js';
import { InboundStream } from './inbound-stream.js';
import type { Verdict } from './inbound-stream.js';
import { answerPings } from './keepalive.js';
import type { Transport } from './local-socket.js';
import { FLAG_ACCEPT, MAX_FRAME_BYTES, encodeMessage } from './wire.js';
import type { FrameHeader } from './wire.js';
import type { SumArray } from '@lockstep/exact';

/**
 * Bytes queued in this process for the successor at which sending stops, and those at which it goes on. The kernel buffers
 * a few MB more, so this only has to span the time until the flush is reported: one segment on the way, one behind it.
 */
export const SEND_HIGH_WATER_BYTES = 2 * 1024 * 1024;
export const SEND_LOW_WATER_BYTES = SEND_HIGH_WATER_BYTES / 2;
/** The queue is looked at before each frame, so it can exceed the high-water mark by less than one frame and its prefix. */
export const SEND_QUEUE_BOUND_BYTES = SEND_HIGH_WATER_BYTES + MAX_FRAME_BYTES + 16;
/** How long a failing member waits for its queue to flush, so that its farewell can follow the data and name the culprit. */
export const FAREWELL_MS = 200;
/** How long a closed socket may wait for the peer's answer before it is destroyed. */
export const CLOSE_GRACE_MS = 1_000;

/**
 * WebSocket close codes of the ring (4000-4999 are for applications, RFC 6455 section 7.4.2). 1000 is said by a member that
 * leaves between two rounds. The reason names the member that left or was lost first. It is empty if that is the one that
 * closes, and on a dead link, so that the two ends of one blame each other.
 */
export const CLOSE_CODES = {
  done: 1000,
  staleGeneration: 4001,
  notSuccessor: 4002,
  tooManyHeld: 4003,
  duplicate: 4004,
  peerLost: 4010,
  aborted: 4011,
  protocol: 4012,
} as const;

/** A close frame's reason has at most 123 bytes; a longer member id is left out, and the neighbour is blamed instead. */
const MAX_REASON_BYTES = 123;

/** Closes politely, after what is queued; destroys the socket if the peer does not answer within CLOSE_GRACE_MS. */
export function leave(ws: WebSocket, clock: Clock, code: number, reason = ''): void {
  ws.resume();
  ws.close(code, Buffer.byteLength(reason) <= MAX_REASON_BYTES ? reason : '');
  ws.once(
    'close',
    clock.after(CLOSE_GRACE_MS, () => ws.terminate()),
  );
}

/** How a neighbour's socket ended: the error it makes here, and the code to pass on around the ring. */
export type Ending = { readonly error: RingError; readonly code: number };

function endingOf(peer: string, code: number, reason: string): Ending {
  const culprit = reason === '' ? peer : reason;
  switch (code) {
    case CLOSE_CODES.done:
      return {
        code,
        error: new RingError('E_RING_PEER_LOST', `${culprit} left the ring; join the next generation`, culprit),
      };
    case CLOSE_CODES.peerLost:
      return {
        code,
        error: new RingError(
          'E_RING_PEER_LOST',
          reason === ''
            ? `${peer} closed the connection as lost; join the next generation`
            : `${peer} reports that ${culprit} is lost; join the next generation`,
          culprit,
        ),
      };
    case CLOSE_CODES.aborted:
    case CLOSE_CODES.staleGeneration:
      return {
        code: CLOSE_CODES.aborted,
        error: new RingError('E_RING_ABORTED', `${peer} left this generation; join the next one`, peer),
      };
    case CLOSE_CODES.protocol:
      return {
        code,
        error: new RingError(
          'E_RING_PROTOCOL',
          `${peer} reports a protocol error (${reason}); run one version of Lockstep`,
          peer,
        ),
      };
    default:
      return {
        code: CLOSE_CODES.peerLost,
        error: new RingError(
          'E_RING_PEER_LOST',
          `the socket of ${peer} closed (code ${code}); join the next generation`,
          peer,
        ),
      };
  }
}

/** What becomes of the frames from the predecessor. */
export type FrameHandler = {
  /** A frame of a round that has not started here is `later`. */
  begin(header: FrameHeader): Verdict;
  /** The frame that was placed last is whole. */
  end(): void;
  /** Bytes of the next payload if it is to be stored, else 0. */
  nextStoreBytes(): number;
};
export type EndingHandler = (ending: Ending) => void;

/** Until a link takes over, all frames wait. */
const NOBODY: FrameHandler = { begin: () => 'later', end: () => undefined, nextStoreBytes: () => 0 };

/** Our dial: the WebSocket, and the connection under it, which reads through the stream. */
export type Dialled = { readonly ws: WebSocket; readonly socket: Socket; readonly transport: Transport };

/** Frames from the predecessor, in order. Holds and pauses (TCP's backpressure) while the handler says `later`. */
export class Inbound {
  /** Resolves when the predecessor has accepted us; rejects with a RingError if the socket ends before (E_RING_REFUSED if it said no). */
  readonly accepted: Promise<void>;
  readonly ws: WebSocket;
  readonly socket: Socket;
  readonly transport: Transport;
  readonly #clock: Clock;
  readonly #stream: InboundStream;
  #isAccepted = false;
  #accept: () => void = () => undefined;
  #handler: FrameHandler = NOBODY;
  #onEnding: EndingHandler = () => undefined;
  #ending: Ending | null = null;
  #released: Promise<void> | null = null;

  /** `dial` gets what the socket must be opened with so that its bytes come here (net.connect's `onread`). */
  constructor(
    readonly peer: string,
    readonly generation: number,
    clock: Clock,
    dial: (onread: OnReadOpts) => Dialled,
  ) {
    this.#clock = clock;
    this.#stream = new InboundStream({
      pass: (bytes) => void this.socket.push(bytes),
      begin: (header) => this.#begin(header),
      end: () => this.#handler.end(),
      nextStoreBytes: () => this.#handler.nextStoreBytes(),
      broken: (error) => this.#protocolError(error.message, error),
    });
    const { ws, socket, transport } = dial({
      buffer: () => this.#stream.window(),
      callback: (bytes) => this.#read(bytes),
    });
    this.ws = ws;
    this.socket = socket;
    this.transport = transport;
    answerPings({ ws, socket });
    // Data frames do not come to ws.
    ws.on('message', () => this.#protocolError('sent a message that is no data frame', null));
    this.accepted = new Promise((resolve, reject) => {
      this.#accept = resolve;
      ws.on('close', (code: number, reason: Buffer) => {
        const refused = code >= CLOSE_CODES.staleGeneration && code <= CLOSE_CODES.duplicate;
        if (!this.#isAccepted && refused) {
          reject(
            new RingError(
              'E_RING_REFUSED',
              `${peer} refused generation ${generation}: ${String(reason)}; wait for the next plan`,
              peer,
            ),
          );
        } else {
          const ending = endingOf(peer, code, String(reason));
          reject(ending.error);
          this.#end(ending);
        }
      });
      // A 'close' event always follows; here it only must not be thrown.
      ws.on('error', () => undefined);
    });
    // The dialler awaits `accepted`; when it has given up already, nobody does.
    this.accepted.catch(() => undefined);
  }

  /** Hands over to a ring link. An ending that happened before is reported at once. */
  attach(handler: FrameHandler, onEnding: EndingHandler): void {
    this.#handler = handler;
    this.#onEnding = onEnding;
    if (this.#ending !== null) onEnding(this.#ending);
  }

  /** Offers what is held again, and reads on if all was taken. */
  deliver(): void {
    if (!this.#stream.isHeld) return;
    this.#stream.resume();
    if (!this.#stream.isHeld) this.ws.resume();
  }

  /**
   * Resolves when nothing is read into the caller's buffer any more, whose link has failed; after FAREWELL_MS it destroys the
   * socket for that.
   */
  released(): Promise<void> {
    this.#released ??= new Promise((resolve) => {
      const cancel = this.#clock.after(FAREWELL_MS, () => this.ws.terminate());
      const free = () => {
        cancel();
        resolve();
      };
      this.socket.once('close', free);
      if (this.socket.destroyed) free();
      else this.#stream.abandon(free);
    });
    return this.#released;
  }

  /** True: read on. */
  #read(bytes: number): boolean {
    this.#stream.read(bytes);
    if (this.#stream.isHeld) this.ws.pause();
    return true;
  }

  #begin(header: FrameHeader): Verdict {
    // After we said goodbye, what still comes is of no use, and must not pause the socket: the answer comes behind it.
    if (this.ws.readyState === this.ws.CLOSING || this.ws.readyState === this.ws.CLOSED) return 'ignored';
    if (this.#isAccepted) return this.#handler.begin(header);
    if (header.flags === FLAG_ACCEPT && header.generation === this.generation) {
      this.#isAccepted = true;
      this.#accept();
    } else this.#protocolError('sent data before it accepted this worker', null);
    return 'ignored';
  }

  #protocolError(problem: string, cause: unknown): void {
    const error = new RingError('E_RING_PROTOCOL', `${this.peer} ${problem}; run one version of Lockstep`, this.peer, {
      cause,
    });
    this.#end({ error, code: CLOSE_CODES.protocol });
    leave(this.ws, this.#clock, CLOSE_CODES.protocol, 'bad frame');
  }

  #end(ending: Ending): void {
    if (this.#ending !== null) return;
    this.#ending = ending;
    this.#onEnding(ending);
  }
}

/** Frames to the successor. Payloads are written as views; `unflushed` counts those the kernel has not taken whole. */
export class Outbound {
  readonly #clock: Clock;
  #unflushed = 0;
  #peak = 0;
  #released: Promise<void> | null = null;
  #onFlush: () => void = () => undefined;
  #onEnding: EndingHandler = () => undefined;
  #ending: Ending | null = null;
  readonly #flushed = () => {
    this.#unflushed--;
    this.#onFlush();
  };

  /** `socket` is the stream under `ws`, which the server got with the upgrade request. */
  constructor(
    readonly peer: string,
    readonly ws: WebSocket,
    readonly socket: Socket,
    clock: Clock,
  ) {
    this.#clock = clock;
    answerPings({ ws, socket });
    ws.on('message', () => {
      const error = new RingError(
        'E_RING_PROTOCOL',
        `${peer} sent data against the ring's direction; run one version of Lockstep`,
        peer,
      );
      this.#end({ error, code: CLOSE_CODES.protocol });
      leave(ws, clock, CLOSE_CODES.protocol, 'data against the direction');
    });
    ws.on('close', (code: number, reason: Buffer) => this.#end(endingOf(peer, code, String(reason))));
    // A 'close' event always follows; here it only must not be thrown.
    ws.on('error', () => undefined);
  }

  get closed(): boolean {
    return this.#ending !== null;
  }

  /** Bytes queued in this process. */
  get queuedBytes(): number {
    return this.socket.writableLength;
  }

  /** Payloads that are still views into the caller's buffer. */
  get unflushed(): number {
    return this.#unflushed;
  }

  attach(onFlush: () => void, onEnding: EndingHandler): void {
    this.#onFlush = onFlush;
    this.#onEnding = onEnding;
    if (this.#ending !== null) onEnding(this.#ending);
  }

  /** Tells the successor that it is ours in this generation. */
  accept(generation: number): void {
    this.socket.write(
      encodeMessage({ flags: FLAG_ACCEPT, wire: 'int32', hop: 0, generation, round: 0, segment: 0, count: 0 }),
    );
  }

  /** Queues one frame; the payload's memory must not change until it is flushed (see ring.ts on why it does not). */
  send(header: FrameHeader, payload: SumArray): void {
    this.#unflushed++;
    // Both parts in one system call.
    this.socket.cork();
    this.socket.write(encodeMessage(header));
    this.socket.write(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength), this.#flushed);
    this.#peak = Math.max(this.#peak, this.socket.writableLength);
    this.socket.uncork();
  }

  /** The most bytes ever queued since the last call. */
  takePeak(): number {
    const peak = this.#peak;
    this.#peak = 0;
    return peak;
  }

  /** Resolves when no payload is a view into the caller's buffer any more; after FAREWELL_MS it destroys the socket for that. */
  released(): Promise<void> {
    this.#released ??= new Promise((resolve) => {
      if (this.#unflushed === 0) {
        resolve();
        return;
      }
      const cancel = this.#clock.after(FAREWELL_MS, () => this.ws.terminate());
      this.#onFlush = () => {
        if (this.#unflushed > 0) return;
        cancel();
        resolve();
      };
    });
    return this.#released;
  }

  #end(ending: Ending): void {
    if (this.#ending !== null) return;
    this.#ending = ending;
    this.#onEnding(ending);
  }
}
