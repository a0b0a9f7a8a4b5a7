/** Takes a training state from another process over HTTP, and believes it only by its digest. */
import { systemCode, type Arithmetic } from '@lockstep/base';
import { decodeState, encodedStateBytes, stateDigest, type TrainingState } from './state.js';

/** Looks at the transfer in one stall time: a process that stood still misses some, and so does not take that for a stall. */
const LOOKS_PER_STALL = 5;
/** Of an error's answer, this much goes into the message. Characters. */
const MAX_REASON_LENGTH = 200;

export type WantedState = {
  readonly step: number;
  /** stateDigest of it, in the run's arithmetic. */
  readonly digest: string;
  readonly arithmetic: Arithmetic;
  /** Parameters. */
  readonly length: number;
  /** A transfer from which no byte came for so long, from the dial on, is given up. Milliseconds. */
  readonly stallMs: number;
};

/**
 * The wanted state from `url`.
 * @throws Error saying what was wrong with the source; CheckpointError E_STATE_* if it is no state of that length.
 */
export async function fetchState(url: string, wanted: WantedState): Promise<TrainingState> {
  const { step, digest, arithmetic, length, stallMs } = wanted;
  const stalled = new AbortController();
  let quietLooks = 0;
  const timer = setInterval(() => {
    quietLooks += 1;
    if (quietLooks >= LOOKS_PER_STALL) stalled.abort(new Error(`no byte came for ${stallMs} ms`));
  }, stallMs / LOOKS_PER_STALL);
  try {
    const response = await fetch(url, { signal: stalled.signal });
    quietLooks = 0;
    if (!response.ok) throw new Error(`HTTP ${response.status} ${(await response.text()).slice(0, MAX_REASON_LENGTH)}`);
    const expected = encodedStateBytes(length);
    const declared = Number(response.headers.get('content-length'));
    if (declared !== expected) throw new Error(`it offers ${declared} bytes, not ${expected}`);
    const bytes = new Uint8Array(expected);
    let received = 0;
    // HTTP itself holds the body to the declared length.
    for await (const chunk of bodyOf(response)) {
      quietLooks = 0;
      bytes.set(chunk, received);
      received += chunk.length;
    }
    const state = decodeState(bytes.subarray(0, received), length);
    const found = stateDigest(state, arithmetic);
    if (state.step !== step || found !== digest)
      throw new Error(`it gave state ${state.step} with digest ${found.slice(0, 12)}, not ${digest.slice(0, 12)}`);
    return state;
  } catch (error) {
    throw withReason(error);
  } finally {
    clearInterval(timer);
  }
}

/** Node's fetch says "fetch failed" whatever it was, and keeps the reason to itself. */
function withReason(error: unknown): unknown {
  if (!(error instanceof TypeError && error.cause instanceof Error)) return error;
  const reason = error.cause.message === '' ? systemCode(error.cause) : error.cause.message;
  return new Error(`${error.message}: ${reason ?? error.cause.name}`, { cause: error });
}

function bodyOf(response: Response): AsyncIterable<Uint8Array> {
  if (response.body === null) throw new Error('it gave no body');
  return response.body;
}
