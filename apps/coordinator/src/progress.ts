/** How fast a run goes, from the times of its commits; pure. */

/** Weight of the newest step in the smoothed step time: about the last ten steps count. */
const SMOOTHING = 0.1;

export interface Progress {
  /** Time of the last commit, ms; null before the first. */
  readonly lastCommit: number | null;
  /** Time between the last two commits, seconds; null before the second. */
  readonly stepSeconds: number | null;
  /** Smoothed step time, seconds; null before the second commit. */
  readonly smoothed: number | null;
}

export const noProgress: Progress = { lastCommit: null, stepSeconds: null, smoothed: null };

/** Takes in a commit at `now` (ms). */
export function afterCommit(progress: Progress, now: number): Progress {
  if (progress.lastCommit === null) return { ...progress, lastCommit: now };
  const seconds = (now - progress.lastCommit) / 1000;
  const smoothed = progress.smoothed === null ? seconds : progress.smoothed + SMOOTHING * (seconds - progress.smoothed);
  return { lastCommit: now, stepSeconds: seconds, smoothed };
}

/** Images a second for steps of `globalBatch` images; 0 while unknown. */
export function imagesPerSecond(progress: Progress, globalBatch: number): number {
  return progress.smoothed === null || progress.smoothed === 0 ? 0 : globalBatch / progress.smoothed;
}

/** Seconds until `remaining` more steps are done; null while unknown. */
export function etaSeconds(progress: Progress, remaining: number): number | null {
  return progress.smoothed === null ? null : progress.smoothed * remaining;
}
