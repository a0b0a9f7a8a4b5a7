/**
 * What the compute thread is to compute, and in which order: its queue, which it works off by itself, and which core.ts has it
 * halt where it is not what is wanted any more. Pure.
 */
import type { Busy, State, Wanted } from './state.js';

/** What the compute thread is at after a gradient of step `step`, or after an update that leads to it: the next one, if it goes on. */
export function following(busy: Busy | null, goesOn: boolean, step: number): Busy | null {
  if (!goesOn) return null;
  if (busy?.kind !== 'compute' && busy?.kind !== 'apply') throw new Error('the compute thread goes on with nothing');
  const [next, ...then] = busy.then;
  if (next === undefined) throw new Error('the compute thread goes on beyond its queue');
  return { kind: 'compute', step, microbatch: next.microbatch, then, halting: busy.halting };
}

/** Gradients that the plan wants of this worker now, in order, but for the one that is being computed. */
export function wantedNow(state: State, underWay: number | null): Wanted[] {
  const { plan, have, reduction, owesCheck, held, handingOver } = state;
  if (handingOver) return [];
  if (plan === null || have === null || reduction !== null || owesCheck || have.step !== plan.step) return [];
  // Another state than the one in memory is to be loaded first.
  if (plan.digest !== null && plan.digest !== have.digest) return [];
  const { microbatches, digests } = plan.work;
  return microbatches.flatMap((microbatch) => {
    const digest = digests.includes(microbatch);
    const gradient = held.get(microbatch);
    const done = microbatch === underWay || (gradient !== undefined && (gradient.digest !== null || !digest));
    return done ? [] : [{ microbatch, digest }];
  });
}

/** Gradients of the next step, as far as the reduction under way says who computes them. */
export function wantedAfter({ reduction, generation, handingOver }: State): Wanted[] {
  if (handingOver) return [];
  const next = reduction?.message.generation === generation ? reduction.message.next : null;
  if (next === null || next === undefined || next.anew.length > 0) return [];
  return next.microbatches.map((microbatch) => ({ microbatch, digest: next.digests.includes(microbatch) }));
}

/** Whether `wanted` begins with `queue`. */
export function isBeginning(queue: readonly Wanted[], wanted: readonly Wanted[]): boolean {
  return queue.every(
    ({ microbatch, digest }, place) => wanted[place]?.microbatch === microbatch && wanted[place].digest === digest,
  );
}
