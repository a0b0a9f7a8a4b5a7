/**
 * Which samples a microbatch trains on, and a short name for them: a worker reports the name with its gradient, the ledger
 * keeps it, and whoever has the seed can compute it again.
 */
import { createHash } from 'node:crypto';

import { TaskError } from '../errors.js';
import { datasetIndex } from './order.js';

/** 64 bits: the name guards against mistakes, of which a run has far fewer than 2^32; it is no proof against forgery. */
const DIGEST_HEX_DIGITS = 16;

/**
 * The data set indices of one microbatch, in its order: [microbatchSize].
 *
 * @param count samples in the data set
 * @param globalBatch samples a step
 * @param microbatchSize samples a microbatch; divides globalBatch
 * @param step counted from 0
 * @param index 0 .. globalBatch / microbatchSize - 1
 * @throws E_MICROBATCH if the sizes do not divide or the step has no such microbatch; E_RANDOM_KEY for a bad seed, count or step
 */
export function microbatchIndices(
  seed: number,
  count: number,
  globalBatch: number,
  microbatchSize: number,
  step: number,
  index: number,
): Uint32Array {
  const microbatches = globalBatch / microbatchSize;
  if (!Number.isInteger(microbatches) || microbatches < 1 || !Number.isInteger(microbatchSize) || microbatchSize < 1) {
    throw new TaskError(
      'E_MICROBATCH',
      `microbatches of ${microbatchSize} do not divide a global batch of ${globalBatch}: choose sizes that do`,
    );
  }
  if (!Number.isInteger(index) || index < 0 || index >= microbatches) {
    throw new TaskError(
      'E_MICROBATCH',
      `microbatch ${index} of ${microbatches}: use an index from 0 to ${microbatches - 1}`,
    );
  }
  const first = step * globalBatch + index * microbatchSize;
  const indices = new Uint32Array(microbatchSize);
  for (let i = 0; i < microbatchSize; i++) {
    indices[i] = datasetIndex(seed, count, first + i);
  }
  return indices;
}

/** Names the samples of a microbatch: the first 16 hex digits of sha256 over their indices as little-endian u32. */
export function samplesDigest(indices: Uint32Array): string {
  const bytes = new DataView(new ArrayBuffer(4 * indices.length));
  indices.forEach((value, i) => bytes.setUint32(4 * i, value, true));
  return createHash('sha256').update(bytes).digest('hex').slice(0, DIGEST_HEX_DIGITS);
}
