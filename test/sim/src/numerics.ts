/**
 * Stand-in for tensors: a state is its digest, and the next one depends on every microbatch's gradient, which depends on
 * the state. A gradient of the wrong state, a missing or doubled one, or a sum of two generations changes all that follow.
 */
import { createHash } from 'node:crypto';

/** Most schedules come by the same states: so many hashes are kept. */
const MOST_KEPT = 20_000;
const kept = new Map<string, string>();

export function hashOf(...parts: readonly (string | number)[]): string {
  const text = parts.join('|');
  const known = kept.get(text);
  if (known !== undefined) return known;
  if (kept.size >= MOST_KEPT) kept.clear();
  const hash = createHash('sha256').update(text).digest('hex');
  kept.set(text, hash);
  return hash;
}

export const SEED_DIGEST = hashOf('state', 0);

/** The buckets of a gradient, in the order of the table. */
export const BUCKETS = ['late', 'early'] as const;
export type Bucket = (typeof BUCKETS)[number];

export const TENSORS = 3;

/** Tensors of the early bucket, the last ones: none where the gradient comes in one piece. */
export function earlyTensors(inOnePiece: boolean): number {
  return inOnePiece ? 0 : 2;
}

/** A 32-bit number standing for a bucket of the gradient's integers. */
export function gradientOf(digest: string, step: number, microbatch: number, bucket: Bucket): number {
  return Number.parseInt(hashOf('gradient', digest, step, microbatch, bucket).slice(0, 8), 16) | 0;
}

/** The exponents of a bucket's tensors, of those of all. */
export function exponentsIn(bucket: Bucket, exponents: readonly number[], inOnePiece: boolean): number[] {
  const cut = exponents.length - earlyTensors(inOnePiece);
  return bucket === 'early' ? exponents.slice(cut) : exponents.slice(0, cut);
}

export function exponentsOf(digest: string, step: number, microbatch: number): number[] {
  const bytes = hashOf('exponents', digest, step, microbatch);
  return [0, 1, 2].map((tensor) => (Number.parseInt(bytes.slice(2 * tensor, 2 * tensor + 2), 16) % 40) - 20);
}

export function lossOf(digest: string, step: number, microbatch: number): number {
  return Number.parseInt(hashOf('loss', digest, step, microbatch).slice(0, 6), 16) / 2 ** 24;
}

/** What the task measures beside the loss. */
export const FIGURE = 'figure';

/** Of one microbatch. */
export function figureOf(digest: string, step: number, microbatch: number): number {
  return Number.parseInt(hashOf(FIGURE, digest, step, microbatch).slice(0, 6), 16) / 2 ** 24;
}

/** The mean over a step's microbatches, of a state that is as it should be. */
export function stepFigure(digest: string, step: number, microbatches: number): number {
  let sum = 0;
  for (let microbatch = 0; microbatch < microbatches; microbatch++) sum += figureOf(digest, step, microbatch);
  return sum / microbatches;
}

/** Names the samples of a microbatch. */
export function samplesOf(step: number, microbatch: number): string {
  return hashOf('samples', step, microbatch).slice(0, 16);
}

/** The step whose gradients are not finite in runs that skip such steps, and the microbatch that is to blame. */
export const BAD_STEP = 5;
export const BAD_MICROBATCH = 2;

/** What a worker adds up: depends on the agreed exponents, as the real rounding does. Wraps as int32 does. */
export function foldOf(gradients: readonly number[], exponents: readonly number[]): number {
  const scale = exponents.reduce((mix, exponent) => Math.imul(mix, 31) + exponent, 7) | 1;
  return gradients.reduce((sum, gradient) => (sum + Math.imul(gradient, scale)) | 0, 0);
}

/** `sums`: of the buckets; 0 of an empty one. */
export function nextDigest(digest: string, step: number, sums: Readonly<Record<Bucket, number>>): string {
  return hashOf('state', digest, step, sums.late, sums.early);
}

/** Digest of state k for every k up to `steps` of a run that nothing disturbs. */
export function undisturbed(steps: number, microbatches: number, skips: boolean, inOnePiece = false): string[] {
  const digests = [SEED_DIGEST];
  for (let step = 0; step < steps; step++) {
    const digest = digests[step] ?? '';
    if (skips && step === BAD_STEP) {
      digests.push(digest);
      continue;
    }
    const all = Array.from({ length: microbatches }, (_, index) => index);
    const exponents = [0, 1, 2].map((tensor) =>
      Math.max(...all.map((index) => exponentsOf(digest, step, index)[tensor] ?? 0)),
    );
    const sumOf = (bucket: Bucket): number =>
      foldOf(
        all.map((index) => gradientOf(digest, step, index, bucket)),
        exponentsIn(bucket, exponents, inOnePiece),
      );
    digests.push(nextDigest(digest, step, { late: sumOf('late'), early: inOnePiece ? 0 : sumOf('early') }));
  }
  return digests;
}
