/**
 * Fingerprints: what arrays of float32 are told apart and found damaged by, at the speed of memory.
 *
 * Nouns
 *   w_i          the i-th number's 32 bits
 *   mixed(h, w)  (h xor w) * PRIME modulo 2^32, turned left by 13 bits
 *   sum j        h_j, j = 0..31: h = mixed(h, w) over the w_i with i mod 32 = j, from 0
 *   fingerprint  32 numbers of one array. In arithmetic 1 its sums. In arithmetic 2 it is cut into blocks of 65,536 numbers, each of
 *                which has sums of its own, and H_j = mixed(H_j, h_j) over the blocks in their order, from 0
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
import { BLOCK, type Arithmetic } from '@lockstep/base';

export const FINGERPRINT_SUMS = 32;

/** 2^32 / golden ratio, and prime: its powers mix the bits well (Knuth, "The art of computer programming", 6.4). */
const PRIME = 0x9e37_79b1;

function mixed(h: number, word: number): number {
  const product = Math.imul(h ^ word, PRIME);
  return (product << 13) | (product >>> 19);
}

/** [32] */
export function fingerprintOf(numbers: Float32Array, arithmetic: Arithmetic): Uint32Array {
  const words = new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  if (arithmetic === 1) return new Uint32Array(sumsOf(words).buffer);
  const total = new Int32Array(FINGERPRINT_SUMS);
  for (let from = 0; from < words.length; from += BLOCK) {
    const sums = sumsOf(words.subarray(from, from + BLOCK));
    for (let j = 0; j < FINGERPRINT_SUMS; j++) total[j] = mixed(total[j], sums[j]);
  }
  return new Uint32Array(total.buffer);
}

function sumsOf(words: Int32Array): Int32Array<ArrayBuffer> {
  const sums = new Int32Array(FINGERPRINT_SUMS);
  const whole = words.length - (words.length % FINGERPRINT_SUMS);
  for (let i = 0; i < whole; i += FINGERPRINT_SUMS)
    for (let j = 0; j < FINGERPRINT_SUMS; j++) sums[j] = mixed(sums[j], words[i + j]);
  for (let i = whole; i < words.length; i++) sums[i - whole] = mixed(sums[i - whole], words[i]);
  return sums;
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
