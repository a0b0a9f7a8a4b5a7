/**
 * How fast a run goes, from the times of its commits; pure. A rate is of what goes on: where nobody does a step there is none,
 * and one that takes longer than usual slows it down before it is committed.
 */
import type { MonotonicMs } from '../decide/clocks.js';

/** Weight of the newest step in the smoothed step time: about the last ten steps count. */
const SMOOTHING = 0.1;

export interface Progress {
  /** Since when the step under way is being done; null: nobody does one. */
  readonly since: MonotonicMs | null;
  /** Whether that was a commit: only from one to the next is the time of a step. */
  readonly fromCommit: boolean;
  /** Time between the last two commits, seconds; null where there was something else between. */
  readonly stepSeconds: number | null;
  /** Smoothed step time, seconds; null before the second commit. */
  readonly smoothed: number | null;
}

/** Nobody does a step: before the first generation, and whenever too few workers are left. */
export const noProgress: Progress = { since: null, fromCommit: false, stepSeconds: null, smoothed: null };

/** A generation begins to do a step. */
export function afterOpening(progress: Progress, now: MonotonicMs): Progress {
  return { ...progress, since: now, fromCommit: false, stepSeconds: null };
}

/** A step is committed. */
export function afterCommit(progress: Progress, now: MonotonicMs): Progress {
  const { since, fromCommit, smoothed } = progress;
  if (since === null || !fromCommit) return { ...progress, since: now, fromCommit: true, stepSeconds: null };
  const seconds = (now - since) / 1000;
  const next = smoothed === null ? seconds : smoothed + SMOOTHING * (seconds - smoothed);
  return { since: now, fromCommit: true, stepSeconds: seconds, smoothed: next };
}

/** Images a second for steps of `globalBatch` images; 0 while unknown, or if nobody does a step. */
export function imagesPerSecond(progress: Progress, now: MonotonicMs, globalBatch: number): number {
  const seconds = secondsAStep(progress, now);
  return seconds === null || seconds === 0 ? 0 : globalBatch / seconds;
}

/** Seconds until `remaining` more steps are done; null while unknown, or if nobody does a step. */
export function etaSeconds(progress: Progress, now: MonotonicMs, remaining: number): number | null {
  if (remaining === 0) return 0;
  const seconds = secondsAStep(progress, now);
  return seconds === null ? null : seconds * remaining;
}

/** What a step takes: as usual, until the one under way has taken twice that. */
function secondsAStep({ since, smoothed }: Progress, now: MonotonicMs): number | null {
  if (since === null || smoothed === null) return null;
  return Math.max(smoothed, (now - since) / 1000 - smoothed);
}
