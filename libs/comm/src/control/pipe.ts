/**
 * A control connection as its two ends see it: whole messages, in order, until one end closes it. What carries them (socket-pipe.ts:
 * a WebSocket) is a port of coordinator and worker, so that a simulated network can take its place.
 */
import type { RequestRefusal } from '../http/request-origin.js';
import type { CoordinatorMessage, MessageError, WorkerMessage } from './messages.js';

/** One end. */
export interface Pipe<Said> {
  readonly open: boolean;
  /** A message to a pipe that is not open is dropped, as its end is already on the way. */
  send(message: Said): void;
  /** Closes it after what was sent, and says why; what comes until the other end has answered is still told. */
  close(code: number, reason: string): void;
  /** Cuts it at once. */
  terminate(): void;
}

/** What happens at one end, never within a call of the pipe. */
export interface PipeEvents<Heard> {
  /** `bytes`: how much came with it. */
  onMessage(message: Heard, bytes: number): void;
  /** What came is no message of this protocol. */
  onInvalid(error: MessageError): void;
  /** Last, and once: nothing goes through any more. */
  onClose(reason: string): void;
}

export interface DialEvents extends PipeEvents<CoordinatorMessage> {
  onOpen(): void;
  /** The coordinator does not let this connection in; `onClose` follows. */
  onRefused(refusal: RequestRefusal): void;
}

/** Dials the coordinator at a base URL, ws://host:port; a dial that takes longer than `timeoutMs` is given up (`onClose`). */
export type DialControl = (
  dial: { readonly coordinator: string; readonly timeoutMs: number },
  events: DialEvents,
) => Pipe<WorkerMessage>;
