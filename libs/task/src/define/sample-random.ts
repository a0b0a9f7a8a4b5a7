/** Random numbers for a task's own use, from the same streams without state as all others (random.ts). */
import { ppnd16 } from '../random/normal.js';
import { integerBelow, openUniform, wordsOf, type RandomKey } from '../random/random.js';
import { TaskError } from '../errors.js';
import type { SampleRandom } from './definition.js';

const TWO_TO_32 = 2 ** 32;

/** The stream of a key: one 32-bit word a number, more for an integer whose bound does not divide 2^32. @throws E_RANDOM_KEY */
export function sampleRandom(key: RandomKey): SampleRandom {
  const word = wordsOf(key);
  return {
    uniform: () => openUniform(word()),
    normal: () => ppnd16(openUniform(word())),
    integer(bound) {
      if (Number.isInteger(bound) && bound >= 1 && bound <= TWO_TO_32) return integerBelow(bound, word);
      throw new TaskError('E_RANDOM_KEY', `integer(${bound}): use a whole number from 1 to ${TWO_TO_32}`);
    },
  };
}
