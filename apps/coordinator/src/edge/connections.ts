/**
 * The workers' control connections: who is let in, under which name, and which connection a name has. A worker that dials again
 * replaces its first connection, which it may not know to be gone.
 */
import type { ErrorCode } from '@lockstep/base';
import {
  timeoutsFrom,
  type Clock,
  type CoordinatorMessage,
  type Pipe,
  type PipeEvents,
  type WorkerMessage,
} from '@lockstep/comm';
import type { NameTaken } from '../decide/membership.js';
import type { Happening } from '../decide/state.js';

type Hello = Extract<WorkerMessage, { type: 'hello' }>;
type End = Pipe<CoordinatorMessage>;

export interface ConnectionsOptions {
  readonly heartbeatTimeoutMs: number;
  readonly timers: Pick<Clock, 'every' | 'after'>;
  readonly dispatch: (happening: Happening) => void;
  /** Whether a worker may have the name that it says; null if so. */
  readonly nameTaken: (hello: Hello) => NameTaken | null;
  /** Told once of each newcomer, which tries again for a while. */
  readonly onTurnedAway: (worker: string, taken: NameTaken) => void;
}

/** A connection closed for what its other end did (RFC 6455: policy violation). */
const POLICY = 1008;

export class Connections {
  private readonly pipes = new Map<string, End>();
  /** Instance by the name that it was refused. */
  private readonly lastTurnedAway = new Map<string, string>();
  private stopBeat: () => void = () => undefined;

  constructor(private readonly options: ConnectionsOptions) {}

  /** Sends heartbeats, until `stop`. */
  start(): void {
    const { heartbeatTimeoutMs, timers } = this.options;
    const { heartbeatIntervalMs } = timeoutsFrom(heartbeatTimeoutMs);
    this.stopBeat = timers.every(heartbeatIntervalMs, () => {
      for (const pipe of this.pipes.values()) pipe.send({ type: 'heartbeat' });
    });
  }

  /** A connection has come. */
  accept(pipe: End): PipeEvents<WorkerMessage> {
    const { timers, heartbeatTimeoutMs, dispatch } = this.options;
    let worker: string | null = null;
    const isCurrent = (): boolean => worker !== null && this.pipes.get(worker) === pipe;
    // A connection that does not introduce itself is not a worker.
    const introduced = timers.after(timeoutsFrom(heartbeatTimeoutMs).helloMs, () => pipe.close(POLICY, 'E_NO_HELLO'));
    const refuse = (refusal: { code: ErrorCode; message: string; retryMs?: number }): void => {
      pipe.send({ type: 'refuse', ...refusal });
      pipe.close(POLICY, refusal.code);
    };
    return {
      onMessage: (message) => {
        if (message.type !== 'hello') {
          if (worker !== null && isCurrent()) dispatch({ type: 'message', worker, message });
        } else if (worker !== null) {
          const reason = 'a connection has one hello; open another connection for another worker';
          refuse({ code: 'E_MESSAGE_INVALID', message: reason });
        } else {
          introduced();
          const taken = this.options.nameTaken(message);
          if (taken !== null) {
            this.turnedAway(message, taken);
            refuse(taken);
            return;
          }
          worker = message.worker;
          this.hello(pipe, message);
        }
      },
      onInvalid: ({ code, text }) => refuse({ code, message: text }),
      onClose: (reason) => {
        introduced();
        if (worker === null || !isCurrent()) return;
        this.pipes.delete(worker);
        dispatch({ type: 'gone', worker, reason });
      },
    };
  }

  send(worker: string, message: CoordinatorMessage): void {
    this.pipes.get(worker)?.send(message);
  }

  /** After what was sent. */
  close(worker: string, reason: string): void {
    const pipe = this.pipes.get(worker);
    this.pipes.delete(worker);
    pipe?.close(POLICY, reason);
  }

  stop(): void {
    this.stopBeat();
  }

  private hello(pipe: End, { worker, instance, host, port, local, run }: Hello): void {
    this.pipes.get(worker)?.terminate();
    this.pipes.set(worker, pipe);
    this.options.dispatch({ type: 'hello', worker, instance, host, port, local: local ?? null, run });
  }

  private turnedAway({ worker, instance }: Hello, taken: NameTaken): void {
    if (this.lastTurnedAway.get(worker) === instance) return;
    // Of names that live workers have, so there are no more than those.
    for (const name of this.lastTurnedAway.keys()) if (!this.pipes.has(name)) this.lastTurnedAway.delete(name);
    this.lastTurnedAway.set(worker, instance);
    this.options.onTurnedAway(worker, taken);
  }
}
