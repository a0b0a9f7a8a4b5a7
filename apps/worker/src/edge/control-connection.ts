/**
 * The control connection to the coordinator: dialled again and again, watched for silence, given up after a long time.
 * It says what happens; the worker decides what that means.
 */
import { WebSocket } from 'ws';
import {
  CONTROL_PATH,
  MAX_CONTROL_BYTES,
  SilenceClock,
  parseCoordinatorMessage,
  refusalIn,
  sendMessage,
  timeoutsFrom,
  unpackMessage,
  type CoordinatorMessage,
  type RequestRefusal,
  type Timeouts,
  type WorkerMessage,
} from '@lockstep/comm';

/** First pause before dialling again; doubles up to one heartbeat interval, with jitter. Milliseconds. */
const FIRST_BACKOFF_MS = 100;
/** Before the coordinator's first word its pace is not known: this heartbeat timeout stands in for it. Milliseconds. */
const UNTIL_WELCOME_TIMEOUT_MS = 10_000;

export interface ControlOptions {
  /** The coordinator's base URL, ws://host:port. */
  readonly coordinator: string;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicNow: () => number;
  /** In [0, 1): jitter of the pauses. */
  readonly random: () => number;
  readonly onOpen: () => void;
  readonly onMessage: (message: CoordinatorMessage) => void;
  readonly onLost: () => void;
  /** A heartbeat is due. */
  readonly onBeat: () => void;
  /** The coordinator does not let this connection in: it is not known by the name in its URL. */
  readonly onRefused: (refusal: RequestRefusal) => void;
  /** What came is no message of this protocol. */
  readonly onInvalid: (error: unknown) => void;
  /** There was no coordinator for so long, in milliseconds, that waiting on makes no sense. */
  readonly onUnreachable: (waitedMs: number) => void;
  /** Nothing heard for so long, in milliseconds: the connection is dropped and dialled anew. */
  readonly onSilent: (silenceMs: number) => void;
}

export class ControlConnection {
  /** All waits follow from the coordinator's heartbeat timeout; `pace` says it. */
  timeouts: Timeouts = timeoutsFrom(UNTIL_WELCOME_TIMEOUT_MS);
  heartbeatTimeoutMs = UNTIL_WELCOME_TIMEOUT_MS;
  private socket: WebSocket | null = null;
  private open = false;
  private backoff = FIRST_BACKOFF_MS;
  /** Judges the coordinator's silence while the connection is open, its absence while it is not. */
  private silence: SilenceClock;
  private bytesReceived = 0;
  private beat: NodeJS.Timeout | null = null;
  private redial: NodeJS.Timeout | null = null;
  private over = false;

  constructor(private readonly options: ControlOptions) {
    this.silence = this.watch(this.timeouts.giveUpMs);
  }

  start(): void {
    this.dial();
    this.scheduleBeat();
  }

  /** The coordinator has taken this worker in, and says its heartbeat timeout, which is taken over. Milliseconds. */
  pace(heartbeatTimeoutMs: number): void {
    this.heartbeatTimeoutMs = heartbeatTimeoutMs;
    // Not before: a coordinator that answers, but takes nobody in, is not to be dialled ten times a second.
    this.backoff = FIRST_BACKOFF_MS;
    this.timeouts = timeoutsFrom(heartbeatTimeoutMs);
    this.silence = this.watch(this.timeouts.controlSilenceMs);
    // The beat that is pending was set at the old pace, at which a worker would count as lost before it.
    if (this.beat !== null) clearTimeout(this.beat);
    this.scheduleBeat();
  }

  /** A message while the connection is down is dropped. */
  send(message: WorkerMessage): void {
    if (this.socket !== null) sendMessage(this.socket, message);
  }

  /** Says goodbye with a close frame and waits, for a short time, until it is answered. */
  async close(reason: string): Promise<void> {
    this.over = true;
    if (this.beat !== null) clearTimeout(this.beat);
    if (this.redial !== null) clearTimeout(this.redial);
    const { socket } = this;
    if (socket !== null && socket.readyState === socket.OPEN) {
      await new Promise<void>((resolve) => {
        socket.once('close', () => resolve());
        setTimeout(resolve, this.timeouts.leaveMs).unref();
        socket.close(1000, reason);
      });
    }
    socket?.terminate();
  }

  private watch(timeoutMs: number): SilenceClock {
    return new SilenceClock({ timeoutMs, tickMs: this.timeouts.heartbeatIntervalMs, now: this.options.monotonicNow() });
  }

  private dial(): void {
    if (this.over) return;
    const socket = new WebSocket(this.options.coordinator + CONTROL_PATH, {
      perMessageDeflate: false,
      maxPayload: MAX_CONTROL_BYTES,
      handshakeTimeout: this.timeouts.controlDialMs,
    });
    this.socket = socket;
    socket.on('open', () => {
      if (this.over) return;
      this.open = true;
      this.silence = this.watch(this.timeouts.controlSilenceMs);
      this.options.onOpen();
    });
    socket.on('message', (data) => {
      if (this.socket !== socket || this.over) return;
      this.bytesReceived += Array.isArray(data) ? data.reduce((sum, part) => sum + part.length, 0) : data.byteLength;
      let message: CoordinatorMessage;
      try {
        message = parseCoordinatorMessage(unpackMessage(data));
      } catch (error) {
        this.options.onInvalid(error);
        return;
      }
      this.options.onMessage(message);
    });
    socket.on('unexpected-response', (_request, response) => {
      void refusalIn(response).then((refusal) => {
        if (refusal !== null && this.socket === socket && !this.over) this.options.onRefused(refusal);
        socket.terminate();
      });
    });
    // `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.socket === socket && !this.over) this.lost();
    });
  }

  private lost(): void {
    this.socket = null;
    if (this.open) {
      this.open = false;
      this.silence = this.watch(this.timeouts.giveUpMs);
      this.options.onLost();
    }
    this.redial = setTimeout(() => this.dial(), this.backoff * (0.5 + this.options.random()));
    this.backoff = Math.min(this.timeouts.heartbeatIntervalMs, this.backoff * 2);
  }

  private scheduleBeat(): void {
    this.beat = setTimeout(() => {
      if (this.open) this.options.onBeat();
      if (!this.over) this.look();
      if (!this.over) this.scheduleBeat();
    }, this.timeouts.heartbeatIntervalMs);
  }

  private look(): void {
    const { bytesReceived } = this;
    if (!this.silence.isSilent({ now: this.options.monotonicNow(), bytesReceived, reading: true })) return;
    if (this.open) {
      this.options.onSilent(this.timeouts.controlSilenceMs);
      this.socket?.terminate();
    } else {
      this.options.onUnreachable(this.timeouts.giveUpMs);
    }
  }
}
