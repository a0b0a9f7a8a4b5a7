/**
 * How whole arrays are made one value: fingerprints (libs/exact, fingerprint.ts), and the sum of squares under the gradient's norm
 * (libs/task, optimizer.ts). A run has one version for good, as both decide its bits or its digests.
 *
 *   1   one chain of operations through the whole array
 *   2   a chain through each block of BLOCK numbers, and one through the blocks' results, in their order: blocks can be done at once
 */
export const ARITHMETICS = [1, 2] as const;
export type Arithmetic = (typeof ARITHMETICS)[number];

/** Of runs from before there were two. */
export const FIRST_ARITHMETIC: Arithmetic = 1;
/** Of new runs. */
export const NEWEST_ARITHMETIC: Arithmetic = 2;

/** Numbers of a block; the last one may have fewer. */
export const BLOCK = 65_536;
