/** Who computes what. The weights do not depend on the answer, so it may be any that is quick. */

/**
 * Gives each of `microbatches` microbatches to one of the workers in `ring`.
 * One that `holder` already has stays where it is; the rest go, in index order, to the worker with the fewest still to
 * compute (the earlier in the ring on a tie). Returns the worker's id by microbatch. `ring` must not be empty.
 */
export function assignMicrobatches(
  ring: readonly string[],
  microbatches: number,
  holder: (microbatch: number) => string | null,
): string[] {
  const load = new Map(ring.map((id) => [id, 0]));
  const assigned: string[] = [];
  for (let index = 0; index < microbatches; index++) {
    const held = holder(index);
    assigned.push(held !== null && load.has(held) ? held : '');
  }
  for (let index = 0; index < microbatches; index++) {
    if (assigned[index] !== '') continue;
    const least = leastLoaded(load);
    assigned[index] = least;
    load.set(least, (load.get(least) ?? 0) + 1);
  }
  return assigned;
}

/** The first id, in insertion order, with the smallest load. */
function leastLoaded(load: ReadonlyMap<string, number>): string {
  let best = '';
  let smallest = Infinity;
  for (const [id, value] of load) {
    if (value < smallest) {
      best = id;
      smallest = value;
    }
  }
  return best;
}

/** The microbatches that `assigned` gives to `worker`, ascending. */
export function shareOf(assigned: readonly string[], worker: string): number[] {
  return assigned.flatMap((id, index) => (id === worker ? [index] : []));
}
