/** The rule of sums of docs/internals/numerics.md, written a second time. */
const CHAIN = 256;

/** Chains of 256 from `zero` in order, each step rounded to float32; the chains' results by the same rule. */
export function sumByRule(numbers: readonly number[], add = (a: number, b: number): number => a + b, zero = 0): number {
  if (numbers.length <= CHAIN) return numbers.reduce((sum, x) => Math.fround(add(sum, x)), zero);
  const chains = Array.from({ length: Math.ceil(numbers.length / CHAIN) }, (_, index) =>
    sumByRule(numbers.slice(index * CHAIN, (index + 1) * CHAIN), add, zero),
  );
  return sumByRule(chains, add, zero);
}
