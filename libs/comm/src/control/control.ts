/**
 * The control channel: one WebSocket between a worker and the coordinator, msgpackr messages (binary frames).
 * Either end may be silent for at most the heartbeat timeout; both send heartbeats at a fifth of it
 * (timeouts.ts).
 */
import { Packr } from 'msgpackr';
import type { RawData, WebSocket } from 'ws';

/** Largest control message: a reduce for MAX_MICROBATCHES microbatches fits; anything more is a broken or hostile peer. */
export const MAX_CONTROL_BYTES = 8 * 1024 * 1024;
/** Path of the control channel on the coordinator's port. */
export const CONTROL_PATH = '/control';

const packr = new Packr({ useRecords: false });

/** One control message as bytes. */
export function packMessage(message: object): Buffer {
  return packr.pack(message);
}

/** The bytes of one control message as an unchecked value; hand it to parseWorkerMessage or parseCoordinatorMessage. */
export function unpackMessage(data: RawData): unknown {
  const bytes = Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data;
  return packr.unpack(bytes);
}

/** Sends if the socket is open; a message to a closed socket is dropped, as its close event is already on the way. */
export function sendMessage(socket: WebSocket, message: object): void {
  if (socket.readyState === socket.OPEN) socket.send(packMessage(message));
}
