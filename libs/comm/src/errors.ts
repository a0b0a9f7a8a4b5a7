/**
 * Every error of the data plane carries one of these codes; they are stable, so logs and other programs may rely on them.
 *
 * Wire format (WireError), a broken or foreign peer:
 * - E_WIRE_SHORT, E_WIRE_MAGIC, E_WIRE_VERSION, E_WIRE_FLAGS, E_WIRE_LENGTH: the named part of a frame is wrong
 * - E_WIRE_FIELD             a value to be sent does not fit its field
 * - E_WIRE_BYTE_ORDER        this machine is big-endian
 *
 * Ring order (RingSequenceError), found by the pure state machine and wrapped in E_RING_PROTOCOL by a link:
 * - E_RING_SEGMENT     a duplicate, out-of-order or unknown segment
 * - E_RING_LENGTH      a segment with the wrong number of elements
 * - E_RING_WIRE        a segment of other integers than are summed here
 *
 * Ring (RingError), each naming the peer if there is one to name:
 * - E_RING_PEER_LOST   a neighbour's socket closed or failed
 * - E_RING_PEER_SILENT nothing came from a neighbour for a heartbeat timeout, though its socket is open
 * - E_RING_ABORTED     the caller's signal, a newer generation, or a neighbour that aborted
 * - E_RING_PROTOCOL    a peer sent what the algorithm does not allow here
 * - E_RING_REFUSED     the predecessor refused our dial (its ring has moved on, or we are not its successor)
 * - E_RING_UNREACHABLE the predecessor could not be dialled for a heartbeat timeout
 * - E_RING_STALE       joinRing was called for a generation that is not newer than the last one
 * - E_RING_MEMBERS     a rank, size and neighbours that no ring has
 * - E_RING_MISUSE      two all-reduces at once, a round that went backwards, or a link that is closed
 *
 * Request (an answer with status 403, request-origin.ts):
 * - E_HOST_REFUSED     it is for a host name that is not this server's
 * - E_ORIGIN_REFUSED   a web page of another site asks
 */
export type WireErrorCode =
  | 'E_WIRE_SHORT'
  | 'E_WIRE_MAGIC'
  | 'E_WIRE_VERSION'
  | 'E_WIRE_FLAGS'
  | 'E_WIRE_LENGTH'
  | 'E_WIRE_FIELD'
  | 'E_WIRE_BYTE_ORDER';

export type RingSequenceErrorCode = 'E_RING_SEGMENT' | 'E_RING_LENGTH' | 'E_RING_WIRE';

export type RingErrorCode =
  | 'E_RING_PEER_LOST'
  | 'E_RING_PEER_SILENT'
  | 'E_RING_ABORTED'
  | 'E_RING_PROTOCOL'
  | 'E_RING_REFUSED'
  | 'E_RING_UNREACHABLE'
  | 'E_RING_STALE'
  | 'E_RING_MEMBERS'
  | 'E_RING_MISUSE';

/** Bytes are not a data frame, or values do not fit one. */
export class WireError extends Error {
  override readonly name = 'WireError';
  constructor(
    readonly code: WireErrorCode,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

/** A peer broke the ring's order; nothing of the offending segment was written. */
export class RingSequenceError extends Error {
  override readonly name = 'RingSequenceError';
  constructor(
    readonly code: RingSequenceErrorCode,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

/** A ring did not form, or an all-reduce did not finish. After it the link is dead: join the next generation. */
export class RingError extends Error {
  override readonly name = 'RingError';
  /** `peer` is the member at fault as far as is known here: a neighbour, or the one that a neighbour blames. */
  constructor(
    readonly code: RingErrorCode,
    message: string,
    readonly peer: string | null = null,
    options?: { cause: unknown },
  ) {
    super(`${code}: ${message}`, options);
  }
}
