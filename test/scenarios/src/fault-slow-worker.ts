/** A worker that is slow because other work takes its core. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Cluster } from './cluster.js';
import { Skipped, type Fault } from './fault.js';
import { Part } from './part.js';
import { median } from './timeline.js';

const BUSY = fileURLToPath(new URL('./busy.js', import.meta.url));
const SLOWED = 'worker-1';
const SLOWED_CORE = '1';
/** With so many others on its core a worker has a quarter of it. */
const COMPETITORS = 3;
/** Steps after which the coordinator has measured the new speeds. */
const SETTLING_STEPS = 15;
const MEASURED_STEPS = 20;
/** Two workers of speed 1: of 2, there remain 1 + 1/4. */
const REMAINING_SPEED = (1 + 1 / (COMPETITORS + 1)) / 2;
/** What of the remaining speed must become throughput. */
const EFFICIENCY = 0.85;

const pinned = (core: string): string[] => ['taskset', '-c', core];

function assertPinning(): void {
  if (availableParallelism() < 2) throw new Skipped('two cores are needed');
  try {
    execFileSync('taskset', ['-c', SLOWED_CORE, 'true'], { stdio: 'ignore' });
  } catch {
    throw new Skipped('taskset cannot pin a process here');
  }
}

/** The coordinator calls it a straggler now: it says so once, and once more when that is over. */
function isNamed(cluster: Cluster): boolean {
  const verdicts = cluster.timeline.reports.filter(
    ({ note: { note, worker } }) => worker === SLOWED && (note === 'straggler' || note === 'straggler-over'),
  );
  return verdicts.at(-1)?.note.note === 'straggler';
}

export const slowWorker: Fault = {
  id: 'slow-worker',
  title: 'one of two workers is slowed 4x (seconds: a step)',
  goal: 'throughput at least 85 % of the sum of both speeds; the straggler is named',
  met: ({ seconds, quietStep }) => median(seconds) <= quietStep / (EFFICIENCY * REMAINING_SPEED),
  open: async () => {
    assertPinning();
    return {
      layout: { workers: 2, worker: ({ name }) => ({ prefix: pinned(name === SLOWED ? SLOWED_CORE : '0') }) },
      inject: async (cluster) => {
        const competitors = Array.from(
          { length: COMPETITORS },
          (_, index) => new Part({ name: `busy-${index}`, prefix: pinned(SLOWED_CORE), script: BUSY, args: [] }),
        );
        try {
          await cluster.commits(SETTLING_STEPS);
          const settled = performance.now();
          await cluster.commits(MEASURED_STEPS);
          const gaps = cluster.timeline.gaps(settled, performance.now());
          if (!isNamed(cluster)) throw new Error(`${SLOWED} is slow, and nobody names it`);
          // The mean: throughput is what counts.
          return [{ seconds: gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length }];
        } finally {
          await Promise.all(competitors.map((part) => part.kill()));
        }
      },
    };
  },
};
