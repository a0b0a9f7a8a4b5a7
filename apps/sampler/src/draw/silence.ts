/** Whether a worker process that says nothing hangs, or only has little of the processor: by the time that it computes. */
import { processStat } from '@lockstep/base';

/**
 * A worker that says nothing hangs if in so long it has not computed at all, or has computed for so long. Loading an engine from a cold
 * disk, and one step of a large network, take seconds of it, however busy the machine is.
 */
export const SILENCE_MS = 120_000;

/** Less than this was not computed in a time in which a process may have been asked for its state. */
const NOTHING_MS = 20;

/** Notices that a worker hangs. */
export interface Watch {
  /** It has said something. */
  refresh(): void;
  end(): void;
}

/** Processor time in milliseconds of a process until now; null where nothing tells. */
export type Used = (pid: number) => number | null;

const usedByNow: Used = (pid) => processStat(pid)?.cpuMilliseconds ?? null;

/** Calls `silent` when the process hangs. It looks again and again until it is ended, as who hears of it may decide to wait. */
export function watchProcess(silent: () => void, pid: number, used: Used = usedByNow): Watch {
  let atWord = used(pid);
  let atLook = atWord;
  const timer = setInterval(() => {
    const now = used(pid);
    if (hangs(atWord, atLook, now)) silent();
    atLook = now;
  }, SILENCE_MS);
  return {
    refresh: () => {
      atWord = used(pid);
      atLook = atWord;
      timer.refresh();
    },
    end: () => clearInterval(timer),
  };
}

/**
 * @param atWord processor time in milliseconds when it last said something; null: nothing tells
 * @param atLook that of the last look, SILENCE_MS ago
 * @param now that of this look
 */
export function hangs(atWord: number | null, atLook: number | null, now: number | null): boolean {
  if (atWord === null || atLook === null || now === null) return true;
  return now - atLook < NOTHING_MS || now - atWord >= SILENCE_MS;
}
