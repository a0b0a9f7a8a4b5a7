/**
 * Who computes what, by measured speed. The weights do not depend on the answer, so it may be any that is quick: a slow
 * worker gets less to do, an idle one takes over what another would finish later. Pure.
 */
import type { MonotonicMs } from './clocks.js';
import type { Speed, StepWork } from './state.js';

/** Weight of the newest microbatch in a worker's smoothed time: about the last five count. */
const SMOOTHING = 0.2;
/** A worker without work in a step is taken for so much quicker in the next, so that one that recovered is tried again. */
const OPTIMISM = 0.9;
/** Work is taken over only where that brings it so much sooner: times vary, and a microbatch moved in vain is computed twice. */
const GAIN = 1.25;
/** A worker that needs so many times the others' time for a microbatch is named a straggler, and under the second figure no more. */
const STRAGGLER_RATIO = 2;
const RECOVERED_RATIO = 1.5;
/** Below this share of a processor, other processes or a limit are what holds a worker back. */
const STARVED_SHARE = 0.7;

/** Takes in one microbatch that took `milliseconds`, of them `cpuMilliseconds` on a processor. */
export function measured(before: Speed | null, milliseconds: number, cpuMilliseconds: number): Speed {
  const share = milliseconds > 0 ? cpuMilliseconds / milliseconds : 1;
  if (before === null) return { milliseconds, cpuShare: share };
  const mix = (old: number, fresh: number): number => old + SMOOTHING * (fresh - old);
  return { milliseconds: mix(before.milliseconds, milliseconds), cpuShare: mix(before.cpuShare, share) };
}

/** The speed of a worker that had nothing to do in a step. */
export function unmeasured(before: Speed | null): Speed | null {
  return before === null ? null : { ...before, milliseconds: before.milliseconds * OPTIMISM };
}

/** Milliseconds a microbatch by worker; one whose speed is not known counts as the median of the others. */
export type Pace = (worker: string) => number;

/** Paces from what was measured of the workers in `ring`. */
export function paceOf(ring: readonly string[], speedOf: (worker: string) => Speed | null): Pace {
  // Only where it is needed: most paces are known, and every gradient's report asks for some.
  let usual: number | null = null;
  return (worker) =>
    speedOf(worker)?.milliseconds ?? (usual ??= median(ring.flatMap((id) => speedOf(id)?.milliseconds ?? [])) ?? 1);
}

/**
 * Gives each of `microbatches` microbatches to one worker of `ring`, which must not be empty. One that `holder` has already
 * stays there; the rest go, in index order, to the worker that will be done with it first (the earlier in the ring on a tie).
 * Returns each worker's microbatches in the order in which it should compute them.
 */
export function share(
  ring: readonly string[],
  microbatches: number,
  pace: Pace,
  holder: (microbatch: number) => string | null,
): Map<string, number[]> {
  const queues = new Map(ring.map((id): [string, number[]] => [id, []]));
  const free: number[] = [];
  for (let index = 0; index < microbatches; index++) {
    const queue = queues.get(holder(index) ?? '');
    if (queue === undefined) free.push(index);
    else queue.push(index);
  }
  const line = new FinishLine(ring, pace);
  for (const index of free) queues.get(line.next())?.push(index);
  return queues;
}

/** A binary heap of workers by when they will be done with one microbatch more. */
class FinishLine {
  private readonly heap: { readonly id: string; readonly rank: number; readonly pace: number; done: number }[];

  constructor(ring: readonly string[], pace: Pace) {
    this.heap = ring.map((id, rank) => ({ id, rank, pace: pace(id), done: pace(id) }));
    for (let at = this.heap.length >> 1; at >= 0; at--) this.sink(at);
  }

  /** The worker that is done first with another microbatch; counts it as given to it. */
  next(): string {
    const first = this.heap[0];
    if (first === undefined) throw new Error('no worker to give work to');
    first.done += first.pace;
    this.sink(0);
    return first.id;
  }

  private sink(from: number): void {
    for (let at = from; ;) {
      let best = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (this.before(child, best)) best = child;
      if (best === at) return;
      const [a, b] = [this.heap[at], this.heap[best]];
      if (a === undefined || b === undefined) return;
      [this.heap[at], this.heap[best]] = [b, a];
      at = best;
    }
  }

  private before(left: number, right: number): boolean {
    const [a, b] = [this.heap[left], this.heap[right]];
    if (a === undefined || b === undefined) return false;
    return a.done < b.done || (a.done === b.done && a.rank < b.rank);
  }
}

/** One microbatch that `to` should compute as well, or, if `from` cannot have begun it, in its place. */
export interface Move {
  readonly microbatch: number;
  readonly from: string;
  readonly to: string;
  readonly instead: boolean;
}

/**
 * What the idle worker `to` should take over at time `now`, or null if all would come sooner where it is: the microbatch
 * that is expected last. The holder works through its queue in order, so all but its first open one can be taken away.
 */
export function takeOver(
  work: StepWork,
  to: string,
  pace: Pace,
  isDone: (worker: string, microbatch: number) => boolean,
  now: MonotonicMs,
): Move | null {
  const mine = work.queues.get(to);
  if (mine === undefined) return null;
  const bySelf = now + pace(to) * GAIN;
  let best: Move | null = null;
  let latest = bySelf;
  for (const [from, queue] of work.queues) {
    if (from === to) continue;
    const open = queue.filter((index) => !isDone(from, index));
    let at = work.busySince.get(from) ?? work.since;
    for (const [place, microbatch] of open.entries()) {
      // A held gradient only has to be reported; it counts as work when the report does not come.
      const reported = work.pinned.has(microbatch) && now < work.since + pace(from);
      at += reported ? 0 : pace(from);
      // One that is overdue will take at least half as long again as it was waited for: waiting times have heavy tails.
      const expected = at >= now ? at : now + (now - at) / 2;
      at = expected;
      if (expected <= latest || reported || work.duplicated.has(microbatch) || mine.includes(microbatch)) continue;
      latest = expected;
      best = { microbatch, from, to, instead: place > 0 };
    }
  }
  return best;
}

/**
 * Who of `ring` is a straggler, and why. `wasOne`: it is named one now, and stays one until it is clearly better.
 */
export function stragglers(
  ring: readonly string[],
  speedOf: (worker: string) => Speed | null,
  wasOne: (worker: string) => boolean,
): Map<string, string> {
  const speeds = ring.flatMap((id) => {
    const speed = speedOf(id);
    return speed === null ? [] : [{ id, ...speed }];
  });
  const sorted = speeds.sort((a, b) => a.milliseconds - b.milliseconds);
  const middle = (sorted.length - 1) >> 1;
  const reasons = new Map<string, string>();
  for (const [place, { id, milliseconds, cpuShare }] of sorted.entries()) {
    // The median of the others: this one is left out.
    const others = sorted[middle < place ? middle : middle + 1];
    if (others === undefined) continue;
    const ratio = milliseconds / others.milliseconds;
    if (ratio < (wasOne(id) ? RECOVERED_RATIO : STRAGGLER_RATIO)) continue;
    const cause =
      cpuShare < STARVED_SHARE
        ? `it gets ${Math.round(100 * cpuShare)} % of a processor, so another process or a limit holds it back`
        : 'it has a processor to itself, which is slower or throttled';
    reasons.set(
      id,
      `a microbatch takes it ${milliseconds.toFixed(0)} ms, the others ${others.milliseconds.toFixed(0)} ms (${ratio.toFixed(1)} times); ${cause}`,
    );
  }
  return reasons;
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? null;
}
