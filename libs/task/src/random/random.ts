/**
 * Random streams without state.
 *
 * Every number is a function of (seed, stream, step, position, index): the key of Philox4x32-10 holds the seed (53 bits)
 * and the stream (11 bits), its counter holds the block index, the position and the step (32 bits each). So any worker
 * can produce any microbatch, and nothing has to be saved to resume.
 */
import { TaskError } from '../errors.js';
import { ppnd16 } from './normal.js';
import { philox4x32 } from './philox.js';

/** What the numbers are for. Values are part of every run's reproducibility: never renumber, only add. */
export const STREAMS = {
  order: 1,
  timestep: 2,
  noise: 3,
  parameters: 4,
  samplerStart: 5,
  samplerNoise: 6,
  labelDrop: 7,
  classifierParameters: 32,
  classifierOrder: 33,
  classifierShift: 34,
  evaluationChoice: 35,
  evaluationTimestep: 36,
  evaluationNoise: 37,
  ceilingNoise: 38,
  taskBatch: 64,
  taskSample: 65,
} as const;

export type Stream = (typeof STREAMS)[keyof typeof STREAMS];

/** One stream's coordinates: step and position are counted from 0, each below 2^32. */
export type RandomKey = {
  readonly seed: number;
  readonly stream: Stream;
  readonly step: number;
  readonly position: number;
};

const TWO_TO_32 = 4294967296;
/** The key has 64 bits: 53 for the seed (every safe integer), so 11 are left for the stream. */
const STREAM_SHIFT = 21;

function checkWord(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= TWO_TO_32) {
    throw new TaskError('E_RANDOM_KEY', `${name} is ${value}: use an integer from 0 to ${TWO_TO_32 - 1}`);
  }
}

/**
 * The words of one stream, in order: fill(out, block) gives words 4*block .. 4*block+3.
 *
 * @throws E_RANDOM_KEY if the seed is not an integer of 0..2^53-1, or step or position not one of 0..2^32-1
 */
export function blocksOf(key: RandomKey): (out: Uint32Array, block: number) => void {
  if (!Number.isSafeInteger(key.seed) || key.seed < 0) {
    throw new TaskError('E_RANDOM_KEY', `seed is ${key.seed}: use an integer from 0 to 2^53 - 1`);
  }
  checkWord('step', key.step);
  checkWord('position', key.position);
  const key0 = key.seed >>> 0;
  const key1 = (Math.floor(key.seed / TWO_TO_32) + key.stream * 2 ** STREAM_SHIFT) >>> 0;
  return (out, block) => philox4x32(out, block, key.position, key.step, 0, key0, key1);
}

/** The words of one stream, one after another. @throws E_RANDOM_KEY as {@link blocksOf} */
export function wordsOf(key: RandomKey): () => number {
  const blocks = blocksOf(key);
  const words = new Uint32Array(4);
  let taken = 0;
  return () => {
    if (taken % 4 === 0) {
      blocks(words, taken / 4);
    }
    return words[taken++ % 4];
  };
}

/** An unbiased integer on 0..bound-1 from as many words as it takes, 1 <= bound <= 2^32. */
export function integerBelow(bound: number, word: () => number): number {
  // Words at or above the largest multiple of `bound` would favour the small remainders, so they are drawn again.
  const limit = TWO_TO_32 - (TWO_TO_32 % bound);
  for (;;) {
    const drawn = word();
    if (drawn < limit) {
      return drawn % bound;
    }
  }
}

/** Unbiased integers of one stream: next(bound) is uniform on 0..bound-1, 1 <= bound <= 2^32. */
export function boundedIntegers(key: RandomKey): (bound: number) => number {
  const word = wordsOf(key);
  return (bound) => integerBelow(bound, word);
}

/** A uniform number strictly between 0 and 1 from one 32-bit word: the middle of the word's interval. */
export function openUniform(word: number): number {
  return (word + 0.5) / TWO_TO_32;
}

/**
 * Fills `out` with standard normal numbers of the stream: one 32-bit word each through the inverse distribution function.
 *
 * The tail ends at 6.34 standard deviations, the farthest that 32 bits reach.
 *
 * @param out rounded to float32 here; element i depends on the key and i alone
 * @throws E_RANDOM_KEY as {@link blocksOf}
 */
export function fillNormal(out: Float32Array, key: RandomKey): void {
  const blocks = blocksOf(key);
  const words = new Uint32Array(4);
  for (let i = 0; i < out.length; i++) {
    const lane = i & 3;
    if (lane === 0) {
      blocks(words, i >>> 2);
    }
    out[i] = ppnd16(openUniform(words[lane]));
  }
}

/** Fills `out` with numbers uniform on (-bound, bound), rounded to float32. */
export function fillUniform(out: Float32Array, bound: number, key: RandomKey): void {
  const blocks = blocksOf(key);
  const words = new Uint32Array(4);
  for (let i = 0; i < out.length; i++) {
    const lane = i & 3;
    if (lane === 0) {
      blocks(words, i >>> 2);
    }
    out[i] = (2 * openUniform(words[lane]) - 1) * bound;
  }
}
