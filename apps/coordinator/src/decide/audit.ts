/**
 * Audit: some microbatches are computed by two workers, and their gradients' bits compared before they enter a sum. Bits of
 * one numerics class are reproducible, so a difference means that a worker's memory or processor is at fault. Pure.
 */

/** A worker is asked for a microbatch at most so often: once, and once more when two answers differ. */
const ANSWERS = 2;

/** One computation of an audited microbatch. */
export interface Answer {
  readonly worker: string;
  /** sha256 of the gradient's bytes. */
  readonly digest: string;
}

export type Judgement =
  /** Not enough answers yet; `ask` another worker, or `again` those who gave one answer. */
  | { readonly kind: 'open'; readonly ask: readonly string[]; readonly again: readonly string[] }
  | { readonly kind: 'agreed'; readonly digest: string; readonly wrong: readonly string[] }
  /** Nobody is left to ask, and no answer is better than another. */
  | { readonly kind: 'tie' };

/** True for the share `rate` of all (step, microbatch) pairs; the same pairs whoever asks. */
export function isAudited(seed: number, step: number, microbatch: number, rate: number): boolean {
  return rate > 0 && fractionOf(seed, step, microbatch) < rate;
}

/**
 * What the answers say. `jury`: the workers of the ring that can be asked, by how little they have to do.
 *
 * Two workers that agree are right. A worker that contradicts itself is wrong. Of two that differ, a third one decides; if
 * there is none, both are asked once more.
 */
export function judge(answers: readonly Answer[], jury: readonly string[]): Judgement {
  const byWorker = new Map<string, string[]>();
  for (const { worker, digest } of answers) byWorker.set(worker, [...(byWorker.get(worker) ?? []), digest]);
  const steady = [...byWorker].filter(([, digests]) => new Set(digests).size === 1);
  const support = new Map<string, number>();
  for (const [, [digest = '']] of steady) support.set(digest, (support.get(digest) ?? 0) + 1);
  const [best, second] = [...support].sort((a, b) => b[1] - a[1]);
  const others = jury.filter((worker) => !byWorker.has(worker));
  if (best === undefined) {
    if (answers.length === 0) return { kind: 'open', ask: [], again: [] };
    return others.length > 0 ? { kind: 'open', ask: others.slice(0, 1), again: [] } : { kind: 'tie' };
  }
  const [digest, voices] = best;
  const unsteady = byWorker.size > steady.length;
  if ((voices >= 2 && voices > (second?.[1] ?? 0)) || (unsteady && second === undefined)) {
    const wrong = [...byWorker].filter(([, digests]) => digests.some((other) => other !== digest));
    return { kind: 'agreed', digest, wrong: wrong.map(([worker]) => worker) };
  }
  if (others.length > 0) return { kind: 'open', ask: others.slice(0, 1), again: [] };
  const again = [...byWorker].filter(([, digests]) => digests.length < ANSWERS).map(([worker]) => worker);
  return again.length > 0 ? { kind: 'open', ask: [], again } : { kind: 'tie' };
}

/** Uniform in [0, 1) from three numbers: the 32-bit finalizer of MurmurHash3 (Appleby, public domain), chained. */
function fractionOf(...parts: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const part of parts) {
    hash = Math.imul(hash ^ (part >>> 0) ^ Math.floor(part / 2 ** 32), 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return (hash >>> 0) / 2 ** 32;
}
