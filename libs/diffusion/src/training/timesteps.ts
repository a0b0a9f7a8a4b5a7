/**
 * Timesteps of a training step: t = 1..T, both ends included. T itself must be trained: the sampler starts there, and an
 * upper bound taken as exclusive is a well-known mistake.
 */
import { DiffusionError } from '../errors.js';
import { shuffled, blocksOf, boundedIntegers, openUniform, STREAMS } from '@lockstep/task';

export type TimestepSampling = 'uniform' | 'stratified';

/** Stratified timesteps take their permutation from a position that no sample of a batch has. */
const PERMUTATION_POSITION = 0xffffffff;

/**
 * One timestep, uniform on 1..T, for the sample at `position` of the step's global batch.
 *
 * @throws E_RANDOM_KEY if seed, step or position is out of range
 */
export function uniformTimestep(seed: number, step: number, position: number, T: number): number {
  return 1 + boundedIntegers({ seed, stream: STREAMS.timestep, step, position })(T);
}

/**
 * The timesteps of a whole global batch, one in each of `globalBatch` equal intervals of 1..T: lower variance than
 * independent ones, and each sample's t is still uniform. (As in the continuous-time low-discrepancy sampler of Kingma et
 * al., "Variational diffusion models", 2021, with an independent offset in every interval.) The intervals are dealt out by
 * a permutation, so that no microbatch always has the noisy ones.
 *
 * @returns t for positions 0..globalBatch-1
 * @throws E_RANDOM_KEY if seed or step is out of range; E_MICROBATCH if the batch is
 */
export function stratifiedTimesteps(seed: number, step: number, globalBatch: number, T: number): Int32Array {
  if (!Number.isInteger(globalBatch) || globalBatch < 1 || globalBatch >= PERMUTATION_POSITION) {
    throw new DiffusionError('E_MICROBATCH', `global batch is ${globalBatch}: use a positive integer below 2^32 - 1`);
  }
  const dealt = shuffled(
    globalBatch,
    boundedIntegers({ seed, stream: STREAMS.timestep, step, position: PERMUTATION_POSITION }),
  );
  const words = new Uint32Array(4);
  return Int32Array.from(dealt, (stratum, position) => {
    blocksOf({ seed, stream: STREAMS.timestep, step, position })(words, 0);
    const t = 1 + Math.floor((T * (stratum + openUniform(words[0]))) / globalBatch);
    // The quotient may round up to T itself for a very large batch.
    return Math.min(t, T);
  });
}
