/**
 * Checksums and digests of numbers in shared memory. crc32 finds every error burst of up to 32 bits, so every single flipped
 * bit, at about 4 GB/s; whoever needs a proof against more than that takes the sha256.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { TrainingState } from '@lockstep/diffusion';

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** crc32 of the array's bytes: a whole number below 2^32. */
export function checksumOf(values: Float32Array): number {
  return crc32(bytesOf(values));
}

/** What a state at rest is checked against: crc32 of the weights, and of all four arrays one after another. */
export interface StateChecksums {
  readonly weights: number;
  readonly whole: number;
}

/** 3 ms for the 12 MB of the default network's state. */
export function stateChecksums({ weights, expAvg, expAvgSq, ema }: TrainingState): StateChecksums {
  const first = checksumOf(weights);
  return { weights: first, whole: [expAvg, expAvgSq, ema].reduce((crc, array) => crc32(bytesOf(array), crc), first) };
}

/** Says that `what` is not any more what it was, as the event `corrupt` wants it. */
export function changedInMemory(what: string, before: number, now: number): string {
  const hex = (crc: number): string => crc.toString(16).padStart(8, '0');
  return `${what} changed in memory (crc ${hex(before)} when made, ${hex(now)} now); check this machine's memory`;
}

/** sha256 of the array's bytes, 64 hex digits. */
export function digestOf(values: Float32Array): string {
  return createHash('sha256').update(bytesOf(values)).digest('hex');
}
