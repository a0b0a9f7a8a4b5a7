/**
 * Fingerprints: what arrays of float32 are told apart and found damaged by, at the speed of memory.
 *
 * Nouns
 *   w_i          the i-th number's 32 bits
 *   sum j        h_j, j = 0..31: h = (h xor w) * PRIME modulo 2^32, turned left by 13 bits, over the w_i with i mod 32 = j, from 0
 *   fingerprint  the 32 sums of one array
 *   checksum     all sums added up, modulo 2^32
 *   digest       sha256 of fingerprints
 *
 * PRIME is odd, so each step can be undone, and a change of one number, of any of its bits, always changes its sum, the
 * checksum and the digest. Other changes pass a checksum by chance, once in 2^32, and 32 independent sums far less often; the turn
 * is there because a product's low bits do not hear of the high ones: without it two changed signs would cancel. No
 * chance is meant to hold off somebody who looks for two arrays with one fingerprint: sha256 over the arrays themselves
 * would, at a tenth of a training step. Native code computes the same (libs/engine, native/passes.cpp).
 */
import { createHash } from 'node:crypto';

export const FINGERPRINT_SUMS = 32;

/** 2^32 / golden ratio, and prime: its powers mix the bits well (Knuth, "The art of computer programming", 6.4). */
const PRIME = 0x9e37_79b1;

function mixed(h: number, word: number): number {
  const product = Math.imul(h ^ word, PRIME);
  return (product << 13) | (product >>> 19);
}

/** [32] */
export function fingerprintOf(numbers: Float32Array): Uint32Array {
  const words = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const sums = new Int32Array(FINGERPRINT_SUMS);
  const whole = words.length - (words.length % FINGERPRINT_SUMS);
  for (let i = 0; i < whole; i += FINGERPRINT_SUMS)
    for (let j = 0; j < FINGERPRINT_SUMS; j++) sums[j] = mixed(sums[j], words[i + j]);
  for (let i = whole; i < words.length; i++) sums[i - whole] = mixed(sums[i - whole], words[i]);
  return new Uint32Array(sums.buffer);
}

/** Of one fingerprint or several: a whole number below 2^32. */
export function fingerprintChecksum(fingerprints: Uint32Array): number {
  let sum = 0;
  for (const each of fingerprints) sum = (sum + each) | 0;
  return sum >>> 0;
}

/** sha256, 64 hex digits, of fingerprints one after another as little-endian u32. */
export function fingerprintDigest(fingerprints: Uint32Array): string {
  const bytes = new Uint8Array(fingerprints.buffer, fingerprints.byteOffset, fingerprints.byteLength);
  return createHash('sha256').update(bytes).digest('hex');
}
