/** Which of the states that workers came to is the right one. Pure. */

export type Verdict =
  | { readonly kind: 'truth'; readonly digest: string; readonly wrong: readonly string[] }
  | { readonly kind: 'tie'; readonly sides: string };

/** Digests that workers gave for one state, of all attempts at the step. */
export type Attempts = ReadonlyMap<string, readonly string[]>;

/**
 * Judges the digests that workers gave for one state. `expected`: what the ledger says, if it knows; then it alone counts
 * (if nobody has it, `wrong` is everybody). Else the larger side is right; two equal sides are a tie.
 */
export function judgeStates(votes: ReadonlyMap<string, string>, expected: string | null): Verdict {
  const sides = new Map<string, string[]>();
  for (const [worker, digest] of votes) sides.set(digest, [...(sides.get(digest) ?? []), worker]);
  const [first, second] = [...sides].sort((a, b) => b[1].length - a[1].length);
  if (expected === null && (first === undefined || second?.[1].length === first[1].length)) {
    const text = [...sides].map(([digest, ids]) => `${digest.slice(0, 12)} from ${ids.join(', ')}`).join('; ');
    return { kind: 'tie', sides: text };
  }
  const truth = expected ?? first?.[0] ?? '';
  return { kind: 'truth', digest: truth, wrong: [...votes].flatMap(([id, digest]) => (digest === truth ? [] : [id])) };
}

/** Adds one attempt's votes to those before it. */
export function withVotes(attempts: Attempts, votes: ReadonlyMap<string, string>): Map<string, readonly string[]> {
  const all = new Map(attempts);
  for (const [worker, digest] of votes) all.set(worker, [...(all.get(worker) ?? []), digest]);
  return all;
}

/** Workers that gave different states for the same step: a step is a pure function, so they are at fault. */
export function contradicting(attempts: Attempts): string[] {
  return [...attempts].flatMap(([worker, digests]) => (new Set(digests).size > 1 ? [worker] : []));
}
