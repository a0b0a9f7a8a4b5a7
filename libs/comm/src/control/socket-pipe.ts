/** The control connection over a WebSocket. */
import { WebSocket, type RawData } from 'ws';
import { refusalIn } from '../http/request-gate.js';
import { CONTROL_PATH, MAX_CONTROL_BYTES, sendMessage, unpackMessage } from './control.js';
import {
  MessageError,
  parseCoordinatorMessage,
  parseWorkerMessage,
  type CoordinatorMessage,
  type WorkerMessage,
} from './messages.js';
import type { DialControl, Pipe, PipeEvents } from './pipe.js';

/** A WebSocket's close reason has at most 123 bytes; ours are ASCII codes and sentences. */
const MOST_REASON = 100;

/** The coordinator's end of a connection that a worker dialled. */
export function acceptControl(
  socket: WebSocket,
  accept: (pipe: Pipe<CoordinatorMessage>) => PipeEvents<WorkerMessage>,
): void {
  listen(socket, parseWorkerMessage, accept(pipeOf(socket)));
  socket.on('error', () => {
    socket.terminate();
  });
}

/** The worker's end. */
export const dialControl: DialControl = ({ coordinator, timeoutMs }, events) => {
  const socket = new WebSocket(coordinator + CONTROL_PATH, {
    perMessageDeflate: false,
    maxPayload: MAX_CONTROL_BYTES,
    handshakeTimeout: timeoutMs,
  });
  socket.on('open', () => events.onOpen());
  socket.on('unexpected-response', (_request, response) => {
    void refusalIn(response).then((refusal) => {
      if (refusal !== null) events.onRefused(refusal);
      socket.terminate();
    });
  });
  // `close` follows.
  socket.on('error', () => undefined);
  listen(socket, parseCoordinatorMessage, events);
  return pipeOf(socket);
};

function pipeOf<Said extends object>(socket: WebSocket): Pipe<Said> {
  return {
    get open() {
      return socket.readyState === socket.OPEN;
    },
    send: (message) => sendMessage(socket, message),
    close: (code, reason) => socket.close(code, reason.slice(0, MOST_REASON)),
    terminate: () => socket.terminate(),
  };
}

function listen<Heard>(socket: WebSocket, parse: (value: unknown) => Heard, events: PipeEvents<Heard>): void {
  socket.on('message', (data) => {
    let message: Heard;
    try {
      message = parse(unpackMessage(data));
    } catch (error) {
      events.onInvalid(
        error instanceof MessageError
          ? error
          : new MessageError(error instanceof Error ? error.message : String(error)),
      );
      return;
    }
    events.onMessage(message, bytesOf(data));
  });
  socket.on('close', (code, text) => events.onClose(text.toString() || `its connection closed (${code})`));
}

function bytesOf(data: RawData): number {
  return Array.isArray(data) ? data.reduce((sum, part) => sum + part.length, 0) : data.byteLength;
}
