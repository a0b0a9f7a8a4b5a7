/** The gradients of one step: given out, reported, audited, moved. Changes a StepWork in place; decides nothing else. */
import { type Work } from '@lockstep/comm';
import { isAudited, judge, type Answer } from './audit.js';
import { share, takeOver, type Move, type Pace } from './balance.js';
import type { MonotonicMs } from './clocks.js';
import type { Covered, CoveredEarly, StepWork } from './state.js';

export interface WorkOptions {
  readonly step: number;
  readonly ring: readonly string[];
  readonly microbatches: number;
  readonly pace: Pace;
  /** Who holds a microbatch's gradient already. */
  readonly holder: (microbatch: number) => string | null;
  readonly audit: { readonly seed: number; readonly rate: number };
  /** Workers whose bits can be compared with this worker's. */
  readonly peers: (worker: string) => readonly string[];
  readonly now: MonotonicMs;
}

/** Work for a step: every microbatch given to a worker, the audited ones to two where there are two of one class. */
export function giveOut({ step, ring, microbatches, pace, holder, audit, peers, now }: WorkOptions): StepWork {
  const queues = share(ring, microbatches, pace, holder);
  const audited = new Map<number, (Covered & Answer)[]>();
  if (audit.rate > 0 && ring.length > 1) {
    for (const [worker, queue] of [...queues].map(([id, list]) => [id, [...list]] as const)) {
      for (const microbatch of queue) {
        if (!isAudited(audit.seed, step, microbatch, audit.rate)) continue;
        const second = leastLoaded(queues, peers(worker), pace);
        if (second === null) continue;
        queues.get(second)?.push(microbatch);
        audited.set(microbatch, []);
      }
    }
  }
  const pinned = new Set<number>();
  for (let index = 0; index < microbatches; index++) if (holder(index) !== null) pinned.add(index);
  return {
    step,
    since: now,
    queues,
    pinned,
    busySince: new Map(),
    covered: new Array<Covered | null>(microbatches).fill(null),
    early: new Map(),
    missingEarly: microbatches,
    summed: null,
    missing: microbatches,
    duplicated: new Set(),
    audited,
    settled: new Set(),
    again: new Set(),
    kept: 'no',
  };
}

/** What a worker must be told of its queue. `anew`: to compute once more though it holds them. */
export function workOf(work: StepWork, worker: string, anew: readonly number[] = []): Work {
  const microbatches = work.queues.get(worker) ?? [];
  return {
    microbatches: [...microbatches],
    digests: microbatches.filter((index) => work.audited.has(index)),
    anew: [...anew],
  };
}

/** What a report led to. */
export interface Reported {
  /** Workers whose work changed, with what they must compute anew. */
  readonly changed: ReadonlyMap<string, readonly number[]>;
  /** Workers whose gradient of this microbatch had wrong bits. */
  readonly wrong: readonly string[];
  /** Two workers contradict each other and nobody can decide. */
  readonly tie: boolean;
  /** Two workers agreed on this microbatch just now. */
  readonly agreed: boolean;
}

const NOTHING: Reported = { changed: new Map(), wrong: [], tie: false, agreed: false };

/** Takes in the early bucket of a gradient. The first result of a microbatch counts, be it the whole. */
export function reportEarly(work: StepWork, microbatch: number, result: CoveredEarly): void {
  if (work.early.has(microbatch) || work.covered[microbatch] !== null) return;
  work.early.set(microbatch, result);
  work.missingEarly -= 1;
}

/** Takes in a gradient. The first result of a microbatch counts; an audited one counts when two workers agree. */
export function report(
  work: StepWork,
  microbatch: number,
  result: Covered & { readonly digest: string | null },
  jury: readonly string[],
  now: MonotonicMs,
): Reported {
  work.busySince.set(result.worker, now);
  const answers = work.audited.get(microbatch);
  if (answers === undefined) {
    if (work.covered[microbatch] === null) {
      if (!work.early.has(microbatch)) work.missingEarly -= 1;
      work.covered[microbatch] = result;
      work.missing -= 1;
    }
    return NOTHING;
  }
  // One without a digest was computed before the audit was decided; its worker computes it again.
  if (result.digest === null || work.settled.has(microbatch)) return NOTHING;
  answers.push({ ...result, digest: result.digest });
  work.covered[microbatch] ??= result;
  const judgement = judge(answers, byLoad(work, jury));
  switch (judgement.kind) {
    case 'open': {
      const changed = new Map<string, readonly number[]>();
      if (!differ(answers)) return NOTHING;
      for (const worker of judgement.ask) {
        const queue = work.queues.get(worker);
        if (queue === undefined || queue.includes(microbatch)) continue;
        queue.push(microbatch);
        changed.set(worker, []);
      }
      for (const worker of judgement.again) {
        const name = `${worker} ${microbatch}`;
        if (work.again.has(name)) continue;
        work.again.add(name);
        const queue = work.queues.get(worker);
        if (queue !== undefined && !queue.includes(microbatch)) queue.push(microbatch);
        changed.set(worker, [microbatch]);
      }
      return { ...NOTHING, changed };
    }
    case 'agreed':
      work.settled.add(microbatch);
      work.missing -= 1;
      // Where an answer was wrong its worker goes, a generation opens, and all that is right is reported anew.
      return { ...NOTHING, wrong: judgement.wrong, agreed: true };
    case 'tie':
      return { ...NOTHING, tie: true };
    default:
      return judgement satisfies never;
  }
}

/** True if `worker` has nothing left to compute of this step. */
export function isIdle(work: StepWork, worker: string): boolean {
  const queue = work.queues.get(worker);
  return queue !== undefined && queue.every((index) => isDone(work, worker, index));
}

/** Lets an idle worker take over what it can finish sooner. Returns what was moved. */
export function relieve(work: StepWork, worker: string, pace: Pace, now: MonotonicMs): Move | null {
  if (work.missing === 0 || !isIdle(work, worker)) return null;
  const move = takeOver(work, worker, pace, (id, index) => isDone(work, id, index), now);
  if (move === null) return null;
  work.queues.get(worker)?.push(move.microbatch);
  work.busySince.set(worker, now);
  if (move.instead) {
    const queue = work.queues.get(move.from) ?? [];
    queue.splice(queue.indexOf(move.microbatch), 1);
  } else {
    work.duplicated.add(move.microbatch);
  }
  return move;
}

/** Whether `worker` need not compute this microbatch of its queue any more. */
function isDone(work: StepWork, worker: string, microbatch: number): boolean {
  const answers = work.audited.get(microbatch);
  if (answers === undefined) return work.covered[microbatch] !== null;
  return work.settled.has(microbatch) || answers.some((answer) => answer.worker === worker);
}

function differ(answers: readonly Answer[]): boolean {
  return new Set(answers.map(({ digest }) => digest)).size > 1;
}

function byLoad(work: StepWork, workers: readonly string[]): string[] {
  const load = (id: string): number => (work.queues.get(id) ?? []).filter((index) => !isDone(work, id, index)).length;
  return [...workers].sort((a, b) => load(a) - load(b));
}

function leastLoaded(
  queues: ReadonlyMap<string, readonly number[]>,
  among: readonly string[],
  pace: Pace,
): string | null {
  let best: string | null = null;
  let least = Infinity;
  for (const id of among) {
    const load = ((queues.get(id)?.length ?? 0) + 1) * pace(id);
    if (load < least) [best, least] = [id, load];
  }
  return best;
}
