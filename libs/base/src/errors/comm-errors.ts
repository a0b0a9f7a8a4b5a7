/** Messages, ports, frames and the ring. A ring error does not end a worker: it reports `broken` and waits for the next generation. */
import { type ErrorEntry } from './entry.js';

export const COMM_ERRORS = {
  E_MESSAGE_INVALID: {
    happened: 'a control message has not the agreed form',
    action: 'run one version of Lockstep everywhere',
    severity: 'refusal',
    exit: { worker: 3 },
  },
  E_PORT_IN_USE: {
    happened: 'another process listens on the port of a coordinator or worker',
    action: 'choose another `--port` (0: any free one)',
    severity: 'error',
    exit: 1,
  },
  E_LISTEN: {
    happened: 'the address of a coordinator or worker cannot be listened on; the message says why',
    action: 'choose another `--host` or `--port`',
    severity: 'error',
    exit: 1,
  },
  E_WIRE_SHORT: {
    happened: 'a frame is shorter than its header',
    action: 'check that the peer is a worker',
    severity: 'warning',
    exit: null,
  },
  E_WIRE_MAGIC: {
    happened: 'a frame does not start with the magic',
    action: 'check that the peer is a worker',
    severity: 'warning',
    exit: null,
  },
  E_WIRE_VERSION: {
    happened: 'the peer has another wire version',
    action: 'run one version everywhere',
    severity: 'warning',
    exit: null,
  },
  E_WIRE_FLAGS: {
    happened: 'unknown flags in a frame',
    action: 'run one version everywhere',
    severity: 'warning',
    exit: null,
  },
  E_WIRE_LENGTH: {
    happened: 'header and payload length differ',
    action: 'the frame is damaged; look at the network',
    severity: 'warning',
    exit: null,
  },
  E_WIRE_FIELD: {
    happened: 'a value does not fit its field',
    action: 'fix the caller',
    severity: 'error',
    exit: null,
  },
  E_WIRE_BYTE_ORDER: {
    happened: 'this machine is big-endian',
    action: 'run Lockstep on little-endian machines',
    severity: 'error',
    exit: 1,
  },
  E_RING_SEGMENT: {
    happened: 'a duplicate, unknown or out-of-order segment (seen as E_RING_PROTOCOL)',
    action: 'run one version everywhere',
    severity: 'warning',
    exit: null,
  },
  E_RING_LENGTH: {
    happened: 'a segment of the wrong length (seen as E_RING_PROTOCOL)',
    action: 'run one version and one preset everywhere',
    severity: 'warning',
    exit: null,
  },
  E_RING_WIRE: {
    happened: "a segment of another wire's integers (seen as E_RING_PROTOCOL)",
    action: 'run one version everywhere',
    severity: 'warning',
    exit: null,
  },
  E_RING_PEER_LOST: {
    happened:
      "a neighbour's socket closed or failed; of the coordinator: its neighbours named a worker three times in a row as lost, and it was cut off",
    action:
      'none, the next generation follows; of a worker that was cut off, check its advertised host, port and firewall',
    severity: 'warning',
    exit: null,
  },
  E_RING_PEER_SILENT: {
    happened: 'nothing came from a neighbour for the heartbeat timeout, though its socket is open',
    action: 'none if rare; else check the network between the two workers',
    severity: 'warning',
    exit: null,
  },
  E_RING_ABORTED: {
    happened: 'the reduction or the join was aborted, here or by a neighbour',
    action: 'none; the next generation follows',
    severity: 'warning',
    exit: null,
  },
  E_RING_PROTOCOL: {
    happened: 'a peer sent what is not allowed here',
    action: 'run one version everywhere',
    severity: 'warning',
    exit: null,
  },
  E_RING_REFUSED: {
    happened: 'the predecessor refused our dial',
    action: 'none; the next generation follows',
    severity: 'warning',
    exit: null,
  },
  E_RING_UNREACHABLE: {
    happened: 'the predecessor could not be dialled for the heartbeat timeout',
    action: 'check its host, port and firewall',
    severity: 'warning',
    exit: null,
  },
  E_RING_STALE: {
    happened: 'a generation that is out of range or not newer than the last one',
    action: 'fix the caller: take it from the plan',
    severity: 'error',
    exit: null,
  },
  E_RING_MEMBERS: {
    happened: 'a rank, size and neighbours that no ring has',
    action: 'give each worker a name of its own; else report a bug',
    severity: 'error',
    exit: null,
  },
  E_RING_MISUSE: {
    happened: 'two reductions at once, or a round that does not rise',
    action: 'fix the caller',
    severity: 'error',
    exit: null,
  },
} as const satisfies Record<string, ErrorEntry>;
