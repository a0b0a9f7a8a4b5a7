/**
 * Training state k: everything that step k+1 starts from. Four flat float32 arrays of P elements, cut into parameter
 * tensors by one table. With (seed, step) the random numbers need no state, so this is all there is.
 *
 * Over the wire a state is one binary, all little-endian:
 *   magic "LOCKSTEP" (8) | version u32 | reserved u32 = 0 | step u64 | P u64 | weights | expAvg | expAvgSq | ema
 */
import type { Arithmetic, ParameterTable, StateArrays, TrainingState } from '@lockstep/base';
import { CheckpointError } from '../errors.js';
import { fingerprintDigest, fingerprintOf, FINGERPRINT_SUMS } from '@lockstep/exact';
import { BYTES_PER_FLOAT, bytesOf, floatsAt } from './float-bytes.js';

export type { ParameterTable, TensorSpan, TrainingState } from '@lockstep/base';

/** The arrays of a state in the one order that digests, files and the wire use. */
export const STATE_ARRAYS = ['weights', 'expAvg', 'expAvgSq', 'ema'] as const;

const MAGIC = Buffer.from('LOCKSTEP', 'ascii');
const VERSION = 1;
export const STATE_HEADER_BYTES = 32;

/**
 * P, the number of elements that `table` covers.
 * @throws CheckpointError E_STATE_TABLE when spans are not contiguous from 0, a name repeats, or a shape contradicts its size.
 */
export function tableLength(table: ParameterTable): number {
  const names = new Set<string>();
  let offset = 0;
  for (const span of table) {
    const product = span.shape.reduce((elements, extent) => elements * extent, 1);
    if (span.offset !== offset || span.size !== product || !Number.isSafeInteger(span.size) || names.has(span.name)) {
      throw new CheckpointError(
        'E_STATE_TABLE',
        `tensor ${JSON.stringify(span.name)} (offset ${span.offset}, size ${span.size}, shape [${span.shape.join(', ')}]) must ` +
          `start at ${offset}, hold ${product} elements and have a name of its own; pass the model's own table.`,
      );
    }
    names.add(span.name);
    offset += span.size;
  }
  return offset;
}

/**
 * P of a state, after checking that the four arrays have that one length and `step` is a whole number.
 * @throws CheckpointError E_STATE_TABLE.
 */
export function stateLength(state: TrainingState): number {
  const length = state.weights.length;
  const wrong = STATE_ARRAYS.find((key) => state[key].length !== length);
  if (wrong) {
    throw new CheckpointError(
      'E_STATE_TABLE',
      `${wrong} has ${state[wrong].length} elements, weights has ${length}; all four must be alike.`,
    );
  }
  if (!Number.isSafeInteger(state.step) || state.step < 0) {
    throw new CheckpointError('E_STATE_TABLE', `step ${state.step} is not a whole number of at least 0.`);
  }
  return length;
}

/** The fingerprints of the four arrays, one after another: [4 x 32]. */
export function stateFingerprints(state: StateArrays, arithmetic: Arithmetic): Uint32Array {
  const prints = new Uint32Array(STATE_ARRAYS.length * FINGERPRINT_SUMS);
  STATE_ARRAYS.forEach((key, place) => prints.set(fingerprintOf(state[key], arithmetic), place * FINGERPRINT_SUMS));
  return prints;
}

/** sha256, 64 hex digits, of the arrays' fingerprints in the run's arithmetic. The step is not part of it. */
export function stateDigest(state: StateArrays, arithmetic: Arithmetic): string {
  return fingerprintDigest(stateFingerprints(state, arithmetic));
}

/**
 * A state as chunks to send one after another: a header, then the arrays' own memory (not copied).
 * @throws CheckpointError E_STATE_TABLE when the arrays differ in length.
 */
export function encodeState(state: TrainingState): Uint8Array[] {
  const length = stateLength(state);
  const header = Buffer.alloc(STATE_HEADER_BYTES);
  MAGIC.copy(header, 0);
  header.writeUInt32LE(VERSION, 8);
  header.writeBigUInt64LE(BigInt(state.step), 16);
  header.writeBigUInt64LE(BigInt(length), 24);
  return [header, ...STATE_ARRAYS.map((key) => bytesOf(state[key]))];
}

/** The exact size in bytes of an encoded state of `length` parameters: the limit for whoever receives one. */
export function encodedStateBytes(length: number): number {
  return STATE_HEADER_BYTES + STATE_ARRAYS.length * length * BYTES_PER_FLOAT;
}

/**
 * Reads what encodeState wrote, joined to one array. `expectedLength` is P of the receiver's model. The arrays are views
 * into `bytes` where its alignment allows, else copies.
 * @throws CheckpointError E_STATE_FORMAT (not a state, cut off, too long), E_STATE_VERSION, E_STATE_LENGTH (another P).
 */
export function decodeState(bytes: Uint8Array, expectedLength: number): TrainingState {
  if (bytes.length < STATE_HEADER_BYTES || !MAGIC.equals(bytes.subarray(0, MAGIC.length))) {
    refuse('E_STATE_FORMAT', 'the bytes do not begin like a training state; fetch it again, from a Lockstep worker.');
  }
  const header = new DataView(bytes.buffer, bytes.byteOffset, STATE_HEADER_BYTES);
  const version = header.getUint32(8, true);
  if (version !== VERSION) {
    refuse(
      'E_STATE_VERSION',
      `the state has encoding version ${version}, this build reads ${VERSION}; run one Lockstep version everywhere.`,
    );
  }
  if (header.getUint32(12, true) !== 0)
    refuse('E_STATE_FORMAT', 'the reserved header field is not 0; fetch the state again.');
  const step = header.getBigUint64(16, true);
  const length = header.getBigUint64(24, true);
  if (step > BigInt(Number.MAX_SAFE_INTEGER))
    refuse('E_STATE_FORMAT', `step ${step} is out of range; fetch the state again.`);
  if (length !== BigInt(expectedLength)) {
    refuse(
      'E_STATE_LENGTH',
      `the state has ${length} parameters, the model ${expectedLength}; run the same preset on both ends.`,
    );
  }
  if (bytes.length !== encodedStateBytes(expectedLength)) {
    refuse(
      'E_STATE_FORMAT',
      `the state has ${bytes.length} bytes instead of ${encodedStateBytes(expectedLength)}; fetch it again.`,
    );
  }
  const array = (index: number): Float32Array =>
    floatsAt(bytes, STATE_HEADER_BYTES + index * expectedLength * BYTES_PER_FLOAT, expectedLength);
  return { step: Number(step), weights: array(0), expAvg: array(1), expAvgSq: array(2), ema: array(3) };
}

function refuse(code: 'E_STATE_FORMAT' | 'E_STATE_VERSION' | 'E_STATE_LENGTH', what: string): never {
  throw new CheckpointError(code, what);
}
