/**
 * Float32Array <-> bytes without copies. Files and digests are defined over little-endian bytes; every machine that runs
 * TensorFlow is little-endian, so memory is used as it lies and a big-endian host is refused at once.
 */
import { LockstepError } from '@lockstep/base';
import { endianness } from 'node:os';

if (endianness() !== 'LE') {
  throw new LockstepError(
    'E_WIRE_BYTE_ORDER',
    'Lockstep needs a little-endian machine: its files and digests are defined over little-endian float32.',
  );
}

export const BYTES_PER_FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** The bytes of `array` as a view of the same memory (SharedArrayBuffers too): `array.byteLength` bytes. */
export function bytesOf(array: Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** `count` floats from byte `start` of `bytes`: a view where the address is aligned, else a copy. The range must lie inside. */
export function floatsAt(bytes: Uint8Array, start: number, count: number): Float32Array {
  const address = bytes.byteOffset + start;
  if (address % BYTES_PER_FLOAT === 0) return new Float32Array(bytes.buffer, address, count);
  const copy = new Float32Array(count);
  bytesOf(copy).set(bytes.subarray(start, start + count * BYTES_PER_FLOAT));
  return copy;
}
