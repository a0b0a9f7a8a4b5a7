/**
 * Which sample a step trains on.
 *
 * The epochs' permutations, one after another, are one endless sequence of dataset indices; step k takes positions
 * k*B .. (k+1)*B-1 of it. So a batch may span two epochs, no sample is dropped at an epoch's end, and none is repeated
 * within an epoch, whatever the batch size.
 */
import { TaskError } from '../errors.js';
import { boundedIntegers, STREAMS } from '../random/random.js';

/** A permutation is kept as 32-bit indices: 64 Mi samples is 256 MiB, above which an index should be computed, not stored. */
export const MAX_SAMPLES = 2 ** 26;

/** A batch touches at most the end of one epoch and the start of the next; two runs may alternate in one process. */
const REMEMBERED_PERMUTATIONS = 4;

const remembered = new Map<string, Uint32Array>();

/**
 * The epoch's permutation of 0..count-1: Fisher-Yates (Durstenfeld 1964) with unbiased integers of the `order` stream.
 *
 * @throws E_RANDOM_KEY if seed, epoch or count is out of range
 */
export function epochPermutation(seed: number, epoch: number, count: number): Uint32Array {
  if (!Number.isInteger(count) || count < 1 || count > MAX_SAMPLES) {
    throw new TaskError('E_RANDOM_KEY', `sample count is ${count}: use an integer from 1 to ${MAX_SAMPLES}`);
  }
  const next = boundedIntegers({ seed, stream: STREAMS.order, step: epoch, position: 0 });
  return shuffled(count, next);
}

/** A uniformly random arrangement of 0..count-1, drawn with `next(bound)` on 0..bound-1. */
export function shuffled(count: number, next: (bound: number) => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last--) {
    const chosen = next(last + 1);
    const swap = order[last];
    order[last] = order[chosen];
    order[chosen] = swap;
  }
  return order;
}

/**
 * The dataset index at a position of the endless concatenation of epochs.
 *
 * A pure function; the last few permutations are remembered, since neighbouring positions share one.
 *
 * @param position counted from 0: step * globalBatch + place in the batch
 * @throws E_RANDOM_KEY if an argument is out of range
 */
export function datasetIndex(seed: number, count: number, position: number): number {
  if (!Number.isSafeInteger(position) || position < 0) {
    throw new TaskError('E_RANDOM_KEY', `sample position is ${position}: use an integer from 0 to 2^53 - 1`);
  }
  const epoch = Math.floor(position / count);
  const name = `${seed}/${epoch}/${count}`;
  let permutation = remembered.get(name);
  if (permutation === undefined) {
    permutation = epochPermutation(seed, epoch, count);
    if (remembered.size >= REMEMBERED_PERMUTATIONS) {
      remembered.delete([...remembered.keys()][0]);
    }
    remembered.set(name, permutation);
  }
  return permutation[position - epoch * count];
}
