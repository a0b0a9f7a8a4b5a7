/** The door for workers on a held port: WebSockets at /control. */
import { WebSocketServer } from 'ws';
import { CONTROL_PATH, MAX_CONTROL_BYTES, acceptControl, type RequestGate } from '@lockstep/comm';
import type { HeldPort, PortHandlers } from './held-port.js';
import type { Door } from './ports.js';

/** What was sent must leave the sockets before the process ends, but a dead peer must not hold it. Milliseconds. */
const CLOSE_GRACE_MS = 1_000;
/** RFC 6455: going away. */
const GOING_AWAY = 1001;

/** @param onRequest answers what is not for the door */
export function socketDoor(held: HeldPort, gate: RequestGate, onRequest: PortHandlers['onRequest']): Door {
  const server = new WebSocketServer({
    noServer: true,
    path: CONTROL_PATH,
    perMessageDeflate: false,
    maxPayload: MAX_CONTROL_BYTES,
  });
  return {
    open(accept) {
      held.serve({
        onRequest: (request, response) => {
          if (!gate.turnsAway(request, response)) onRequest(request, response);
        },
        onUpgrade: (request, socket, head) => {
          if (gate.turnsAwayUpgrade(request, socket)) return;
          server.handleUpgrade(request, socket, head, (webSocket) => acceptControl(webSocket, accept));
        },
      });
    },
    async close(reason) {
      for (const socket of server.clients) socket.close(GOING_AWAY, reason);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CLOSE_GRACE_MS);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      for (const socket of server.clients) socket.terminate();
      held.close();
    },
  };
}
