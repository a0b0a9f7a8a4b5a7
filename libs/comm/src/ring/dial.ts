/**
 * How a member reaches its predecessor: over the local socket if the two share a host, else over TCP; again and again until
 * it accepts.
 */
import { connect } from 'node:net';
import type { IpcNetConnectOpts, OnReadOpts, Socket, TcpNetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { hostInUrl } from '../http/addresses.js';
import type { Clock } from '../clock.js';
import { RingError } from '../errors.js';
import { Keepalive } from './keepalive.js';
import { localPath } from './local-socket.js';
import type { Transport } from './local-socket.js';
import type { Member } from '../control/messages.js';
import { Inbound } from './neighbours.js';
import { timeoutsFrom } from '../timeouts.js';
import { MAX_FRAME_BYTES } from './wire.js';

/** Path of the successor's dial. */
export const RING_PATH = '/ring';
/** Pause before a failed dial is tried again: a predecessor's server is up before it joins, so failures are short. */
export const DIAL_RETRY_MS = 100;

/** Both ends: no compression (gradients do not compress), no UTF-8 checks (no text), bounded frames. */
export const SOCKET_OPTIONS = {
  perMessageDeflate: false,
  maxPayload: MAX_FRAME_BYTES,
  skipUTF8Validation: true,
  allowSynchronousEvents: true,
  /** keepalive.ts answers, within bounds. */
  autoPong: false,
};

/** Names one ring. */
export type RingId = { readonly generation: number; readonly tier: number };

export type DialOptions = {
  readonly ring: RingId;
  readonly selfId: string;
  /** The predecessor. */
  readonly member: Member;
  readonly heartbeatTimeoutMs: number;
  readonly clock: Clock;
  readonly stop: AbortSignal;
};

/**
 * Dials until the predecessor accepts. Rejects with RingError: E_RING_REFUSED, E_RING_PEER_SILENT, E_RING_PROTOCOL,
 * E_RING_ABORTED (stop), E_RING_UNREACHABLE.
 */
export async function dialPredecessor(options: DialOptions): Promise<Inbound> {
  const { ring, member, heartbeatTimeoutMs, clock, stop } = options;
  const { ringDialMs } = timeoutsFrom(heartbeatTimeoutMs);
  const deadline = clock.now() + ringDialMs;
  // Nobody under the local name means another host, or an older process: TCP decides, at once.
  const transports: readonly Transport[] = member.local === undefined ? ['tcp'] : ['local', 'tcp'];
  let last: unknown = null;
  for (let left = ringDialMs; left > 0; left = deadline - clock.now()) {
    for (const transport of transports) {
      try {
        return await dialOnce({ ...options, transport, handshakeTimeout: left });
      } catch (error) {
        if (stop.aborted) throw aborted(ring.generation, stop.reason);
        // What the predecessor said, or did not say, once it was reached, counts. Anything else may pass.
        if (error instanceof RingError && error.code !== 'E_RING_PEER_LOST') throw error;
        last = error;
      }
    }
    await sleep(DIAL_RETRY_MS, undefined, { signal: stop });
  }
  const address = `${hostInUrl(member.host)}:${member.port}`;
  throw new RingError(
    'E_RING_UNREACHABLE',
    `${member.id} at ${address} could not be reached for ${ringDialMs} ms; check its host, port and firewall`,
    member.id,
    { cause: last },
  );
}

/**
 * One dial, until the predecessor accepts. It holds a dial that comes early for as long as its plan is on the way, but its
 * process must answer pings meanwhile.
 */
async function dialOnce(
  options: DialOptions & { readonly transport: Transport; readonly handshakeTimeout: number },
): Promise<Inbound> {
  const { ring, selfId, member, transport, heartbeatTimeoutMs, handshakeTimeout, clock, stop } = options;
  const query = new URLSearchParams({ generation: String(ring.generation), tier: String(ring.tier), from: selfId });
  // Before the socket is opened, as it may throw.
  const url = new URL(`ws://${hostInUrl(member.host)}:${member.port}${RING_PATH}?${query.toString()}`);
  // ws only listens for the end of its handshakeTimeout; whoever makes the socket must set it. ws clears it once open.
  const timeout = Math.max(1, Math.ceil(handshakeTimeout));
  const inbound = new Inbound(member.id, ring.generation, clock, (onread) => {
    const socket = open(member, transport, { timeout, onread });
    const wsOptions = { ...SOCKET_OPTIONS, handshakeTimeout: timeout, createConnection: () => socket };
    return { socket, transport, ws: new WebSocket(url, wsOptions) };
  });
  const { ws } = inbound;
  const onAbort = () => ws.terminate();
  stop.addEventListener('abort', onAbort, { once: true });
  if (stop.aborted) ws.terminate();
  try {
    await new Promise<void>((resolve, reject) => {
      const onSilent = (_: Inbound, error: RingError) => reject(error);
      const keepalive = new Keepalive({ ends: [inbound], heartbeatTimeoutMs, clock, onSilent });
      void inbound.accepted.then(resolve, reject).finally(() => keepalive.stop());
    });
    return inbound;
  } catch (error) {
    ws.terminate();
    throw error;
  } finally {
    stop.removeEventListener('abort', onAbort);
  }
}

function open(member: Member, transport: Transport, how: { timeout: number; onread: OnReadOpts }): Socket {
  const at: TcpNetConnectOpts | IpcNetConnectOpts =
    transport === 'local' && member.local !== undefined
      ? { path: localPath(member.local) }
      : { host: member.host, port: member.port, noDelay: true };
  return connect({ ...at, ...how });
}

/** How a join ends whose generation is over. */
export function aborted(generation: number, cause: unknown): RingError {
  return new RingError('E_RING_ABORTED', `joining generation ${generation} was aborted; wait for the next plan`, null, {
    cause,
  });
}
