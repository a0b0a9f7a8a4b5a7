/**
 * The control connection to the coordinator: dialled again and again, watched for silence, given up after a long time.
 * It says what happens; the worker decides what that means.
 */
import {
  SilenceClock,
  timeoutsFrom,
  type CoordinatorMessage,
  type MessageError,
  type Pipe,
  type RequestRefusal,
  type Timeouts,
  type WorkerMessage,
} from '@lockstep/comm';
import type { WorkerPorts } from './ports.js';

/** First pause before dialling again; doubles up to one heartbeat interval, with jitter. Milliseconds. */
const FIRST_BACKOFF_MS = 100;
/** Before the coordinator's first word its pace is not known: this heartbeat timeout stands in for it. Milliseconds. */
const UNTIL_WELCOME_TIMEOUT_MS = 10_000;

export interface ControlOptions {
  /** The coordinator's base URL, ws://host:port. */
  readonly coordinator: string;
  readonly ports: Pick<WorkerPorts, 'clock' | 'random' | 'dial'>;
  readonly onOpen: () => void;
  readonly onMessage: (message: CoordinatorMessage) => void;
  readonly onLost: () => void;
  /** A heartbeat is due. */
  readonly onBeat: () => void;
  /** The coordinator does not let this connection in: it is not known by the name in its URL. */
  readonly onRefused: (refusal: RequestRefusal) => void;
  /** What came is no message of this protocol. */
  readonly onInvalid: (error: MessageError) => void;
  /** There was no coordinator for so long, in milliseconds, that waiting on makes no sense. */
  readonly onUnreachable: (waitedMs: number) => void;
  /** Nothing heard for so long, in milliseconds: the connection is dropped and dialled anew. */
  readonly onSilent: (silenceMs: number) => void;
}

export class ControlConnection {
  /** All waits follow from the coordinator's heartbeat timeout; `pace` says it. */
  timeouts: Timeouts = timeoutsFrom(UNTIL_WELCOME_TIMEOUT_MS);
  heartbeatTimeoutMs = UNTIL_WELCOME_TIMEOUT_MS;
  private pipe: Pipe<WorkerMessage> | null = null;
  private open = false;
  private backoff = FIRST_BACKOFF_MS;
  /** Judges the coordinator's silence while the connection is open, its absence while it is not. */
  private silence: SilenceClock;
  private bytesReceived = 0;
  private cancelBeat: () => void = () => undefined;
  private cancelRedial: () => void = () => undefined;
  private closed: () => void = () => undefined;
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
    this.cancelBeat();
    this.scheduleBeat();
  }

  /** A message while the connection is down is dropped. */
  send(message: WorkerMessage): void {
    this.pipe?.send(message);
  }

  /** Says goodbye with a close frame and waits, for a short time, until it is answered. */
  async close(reason: string): Promise<void> {
    this.over = true;
    this.cancelBeat();
    this.cancelRedial();
    const { pipe } = this;
    if (pipe?.open === true) {
      await new Promise<void>((resolve) => {
        const cancel = this.options.ports.clock.after(this.timeouts.leaveMs, resolve);
        this.closed = () => {
          cancel();
          resolve();
        };
        pipe.close(1000, reason);
      });
    }
    pipe?.terminate();
  }

  private watch(timeoutMs: number): SilenceClock {
    const { clock } = this.options.ports;
    return new SilenceClock({ timeoutMs, tickMs: this.timeouts.heartbeatIntervalMs, now: clock.now() });
  }

  private dial(): void {
    const { coordinator, ports, onOpen, onMessage, onInvalid, onRefused } = this.options;
    const isCurrent = (): boolean => this.pipe === pipe && !this.over;
    const pipe = ports.dial(
      { coordinator, timeoutMs: this.timeouts.controlDialMs },
      {
        onOpen: () => {
          if (!isCurrent()) return;
          this.open = true;
          this.silence = this.watch(this.timeouts.controlSilenceMs);
          onOpen();
        },
        onMessage: (message, bytes) => {
          if (!isCurrent()) return;
          this.bytesReceived += bytes;
          onMessage(message);
        },
        onInvalid: (error) => {
          if (isCurrent()) onInvalid(error);
        },
        onRefused: (refusal) => {
          if (isCurrent()) onRefused(refusal);
        },
        onClose: () => {
          this.closed();
          if (isCurrent()) this.lost();
        },
      },
    );
    this.pipe = pipe;
  }

  private lost(): void {
    this.pipe = null;
    if (this.open) {
      this.open = false;
      this.silence = this.watch(this.timeouts.giveUpMs);
      this.options.onLost();
      // Without a coordinator it may have ended.
      if (this.over) return;
    }
    const { clock, random } = this.options.ports;
    this.cancelRedial = clock.after(this.backoff * (0.5 + random()), () => this.dial());
    this.backoff = Math.min(this.timeouts.heartbeatIntervalMs, this.backoff * 2);
  }

  private scheduleBeat(): void {
    this.cancelBeat = this.options.ports.clock.after(this.timeouts.heartbeatIntervalMs, () => {
      if (this.open) this.options.onBeat();
      if (!this.over) this.look();
      if (!this.over) this.scheduleBeat();
    });
  }

  private look(): void {
    const { bytesReceived } = this;
    if (!this.silence.isSilent({ now: this.options.ports.clock.now(), bytesReceived, reading: true })) return;
    if (this.open) {
      this.options.onSilent(this.timeouts.controlSilenceMs);
      this.pipe?.terminate();
    } else {
      this.options.onUnreachable(this.timeouts.giveUpMs);
    }
  }
}
