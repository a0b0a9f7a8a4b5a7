/**
 * A sum that travels as int16. The passes over gradients form it as int32, and the update reads it so; for the ring in between it
 * is made narrow in its own memory, of which it then fills the first half, and wide again after it.
 *
 * In place: numbers 2i and 2i+1 lie in words 2i and 2i+1 of the memory when they are wide, and in word i when they are narrow, the
 * first in its lower half. So narrowing upwards and widening downwards overwrites nothing that is still to be read. Two numbers a
 * word take half the time of one after another through an Int16Array.
 */
import { FixedPointError } from './errors.js';

/** Words between two pauses: some milliseconds' work. */
const PIECE = 1 << 21;

/** Where the narrow form of `sum` is: [sum.length]. */
export function narrowView(sum: Int32Array): Int16Array {
  return new Int16Array(sum.buffer, sum.byteOffset, sum.length);
}

/** The lower half of a word, as int16. */
const low = (word: number): number => (word << 16) >> 16;

/**
 * Makes a sum narrow, a piece at a time: the caller may do other things in between. Nothing wraps: fixedpoint.ts proves that every
 * number fits, and one that does not all the same is an error.
 * @throws FixedPointError E_FIXEDPOINT_OVERFLOW; the sum is then of no use
 */
export function* narrow(sum: Int32Array): Generator<undefined, void> {
  const pairs = sum.length >> 1;
  for (let from = 0; from < pairs; from += PIECE) {
    if (from > 0) yield;
    narrowPairs(sum, from, Math.min(from + PIECE, pairs));
  }
  if (sum.length > 2 * pairs) {
    const last = sum[2 * pairs];
    check(last ^ low(last));
    sum[pairs] = last;
  }
}

function narrowPairs(sum: Int32Array, from: number, to: number): void {
  let lost = 0;
  for (let i = from; i < to; i++) {
    const first = sum[2 * i];
    const second = sum[2 * i + 1];
    lost |= (first ^ low(first)) | (second ^ low(second));
    sum[i] = (first & 0xffff) | (second << 16);
  }
  check(lost);
}

function check(lost: number): void {
  if (lost === 0) return;
  throw new FixedPointError(
    'E_FIXEDPOINT_OVERFLOW',
    `a sum of gradients does not fit int16, and was not sent. This is a fault of Lockstep or of this machine's memory: report it, or train with --wire int32`,
  );
}

/** Makes a sum wide again, in pieces as `narrow`. */
export function* widen(sum: Int32Array): Generator<undefined, void> {
  const pairs = sum.length >> 1;
  if (sum.length > 2 * pairs) sum[2 * pairs] = low(sum[pairs]);
  for (let to = pairs; to > 0; to -= PIECE) {
    if (to < pairs) yield;
    widenPairs(sum, Math.max(0, to - PIECE), to);
  }
}

function widenPairs(sum: Int32Array, from: number, to: number): void {
  for (let i = to - 1; i >= from; i--) {
    const word = sum[i];
    sum[2 * i + 1] = word >> 16;
    sum[2 * i] = low(word);
  }
}
