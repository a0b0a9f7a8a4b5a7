/**
 * What an engine computes on: the processor, or a GPU by CUDA. Types that other packages see are not taken from engine-parts.mjs:
 * a compiler that checks no JavaScript does not know them.
 */
export type Device = 'cpu' | 'cuda';
