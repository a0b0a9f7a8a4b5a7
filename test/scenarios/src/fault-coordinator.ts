/** Faults that take the coordinator away. */
import type { Cluster } from './cluster.js';
import type { Fault, Injection } from './fault.js';
import { median } from './timeline.js';

/** Where in a step the coordinator is killed, when that is not said: about its middle. */
const MIDDLE = 0.5;
const RECENT_STEPS = 10;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until the coordinator is in the middle of a step: after a commit, before the next reduction. */
async function midStep(cluster: Cluster): Promise<void> {
  const recent = cluster.timeline.commits().slice(-RECENT_STEPS);
  const step = median(cluster.timeline.gaps(recent[0]?.at ?? 0, performance.now()));
  await cluster.commits(1);
  await pause(1000 * MIDDLE * step);
}

/** Waits until the ring runs and the step is not committed. */
async function midCommit(cluster: Cluster): Promise<void> {
  await cluster.note('a reduction starts', performance.now(), ({ note }) => note === 'reduce-started');
}

async function killNow(cluster: Cluster, workers: readonly string[]): Promise<Injection> {
  const { generation } = cluster;
  const at = performance.now();
  cluster.signalCoordinator('SIGKILL');
  for (const name of workers) cluster.worker(name).signal('SIGKILL');
  return { seconds: await cluster.secondsToCommit(at, generation) };
}

/** The workers that live hold the newest state: no step may be done twice. */
export function nothingRedone(cluster: Cluster): void {
  const redone = cluster.timeline.redone();
  if (redone.length > 0) throw new Error(`steps that were committed are done again: ${redone.join(' ')}`);
}

export const killCoordinatorMidStep: Fault = {
  id: 'kill-coordinator-mid-step',
  title: 'SIGKILL of the coordinator while gradients are computed',
  goal: 'no committed step is done again',
  met: () => true,
  open: async () => ({
    inject: async (cluster) => {
      await midStep(cluster);
      const injection = await killNow(cluster, []);
      nothingRedone(cluster);
      return [injection];
    },
  }),
};

export const killCoordinatorMidCommit: Fault = {
  id: 'kill-coordinator-mid-commit',
  title: 'SIGKILL of the coordinator between reduce and commit',
  goal: 'no committed step is done again',
  met: () => true,
  open: async () => ({
    inject: async (cluster) => {
      await midCommit(cluster);
      const injection = await killNow(cluster, []);
      nothingRedone(cluster);
      return [injection];
    },
  }),
};

export const killCoordinatorAndWorker: Fault = {
  id: 'kill-coordinator-and-worker',
  title: 'SIGKILL of the coordinator and a worker at once',
  goal: 'no committed step is done again',
  met: () => true,
  open: async () => ({
    inject: async (cluster, count) => {
      await midCommit(cluster);
      const injection = await killNow(cluster, cluster.names.slice(count % cluster.names.length).slice(0, 1));
      nothingRedone(cluster);
      return [injection];
    },
  }),
};

export const killEverything: Fault = {
  id: 'kill-everything',
  title: 'SIGKILL of the coordinator and all workers at once',
  goal: 'goes on from the newest checkpoint by itself',
  met: () => true,
  waitsForSilence: true,
  open: async () => ({
    inject: async (cluster) => {
      await midCommit(cluster);
      return [await killNow(cluster, cluster.names)];
    },
  }),
};
