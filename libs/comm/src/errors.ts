/**
 * Errors of the data plane that are caught by kind: a frame that is none (WireError), a peer that breaks the ring's order
 * (RingSequenceError, which a link wraps in E_RING_PROTOCOL), and a ring that did not form or broke (RingError).
 */
import { LockstepError } from '@lockstep/base';

type WireErrorCode =
  | 'E_WIRE_SHORT'
  | 'E_WIRE_MAGIC'
  | 'E_WIRE_VERSION'
  | 'E_WIRE_FLAGS'
  | 'E_WIRE_LENGTH'
  | 'E_WIRE_FIELD'
  | 'E_WIRE_BYTE_ORDER';

type RingSequenceErrorCode = 'E_RING_SEGMENT' | 'E_RING_LENGTH' | 'E_RING_WIRE';

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
export class WireError extends LockstepError<WireErrorCode> {
  override readonly name = 'WireError';
}

/** A peer broke the ring's order; nothing of the offending segment was written. */
export class RingSequenceError extends LockstepError<RingSequenceErrorCode> {
  override readonly name = 'RingSequenceError';
}

/** A ring did not form, or an all-reduce did not finish. After it the link is dead: join the next generation. */
export class RingError extends LockstepError<RingErrorCode> {
  override readonly name = 'RingError';

  /** `peer` is the member at fault as far as is known here: a neighbour, or the one that a neighbour blames. */
  constructor(
    code: RingErrorCode,
    text: string,
    readonly peer: string | null = null,
    options?: { cause: unknown },
  ) {
    super(code, text, options);
  }
}
