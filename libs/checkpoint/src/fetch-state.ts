/** Takes a training state from another process over HTTP, and believes it only by its digest. */
import { decodeState, encodedStateBytes, stateDigest, type TrainingState } from './state.js';

/** A source that does not hand its state over within this time is given up; the caller asks the next one. Milliseconds. */
const FETCH_TIMEOUT_MS = 60_000;

/**
 * State `step` from `url`, with `length` parameters and this digest.
 * @throws Error saying what was wrong with the answer; CheckpointError E_STATE_* if it is no state of that length.
 */
export async function fetchState(url: string, step: number, digest: string, length: number): Promise<TrainingState> {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`HTTP ${response.status} ${(await response.text()).slice(0, 200)}`);
  const declared = Number(response.headers.get('content-length'));
  if (declared !== encodedStateBytes(length))
    throw new Error(`it offers ${declared} bytes, not ${encodedStateBytes(length)}`);
  const state = decodeState(new Uint8Array(await response.arrayBuffer()), length);
  const found = stateDigest(state);
  if (state.step !== step || found !== digest)
    throw new Error(`it gave state ${state.step} with digest ${found.slice(0, 12)}, not ${digest.slice(0, 12)}`);
  return state;
}
