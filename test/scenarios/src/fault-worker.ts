/** Faults of worker processes. */
import { HEARTBEAT_TIMEOUT_MS, type Cluster } from './cluster.js';
import type { Fault } from './fault.js';
import { median } from './timeline.js';

const TIMEOUT_S = HEARTBEAT_TIMEOUT_MS / 1000;
/** What finding out and planning anew may cost beyond doing the step again. Seconds. */
const KILLED_COST_S = 1;
/** A step that is done again and its repetition may each be slow on a busy machine. */
const REDONE_STEPS = 2;

/** The state of the tiny network is below 1 MB; handshake, transfer and check take this long at most. Seconds. */
const TRANSFER_S = 0.25;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function victim(cluster: Cluster, count: number): string {
  const { names } = cluster;
  return names[count % names.length] ?? '';
}

export const killWorker: Fault = {
  id: 'kill-worker',
  title: 'SIGKILL of a worker',
  goal: 'under 1 s beyond redoing its step',
  met: ({ seconds, quietStep }) => median(seconds) < KILLED_COST_S + REDONE_STEPS * quietStep,
  open: async () => ({
    inject: async (cluster, count) => {
      const { generation } = cluster;
      const at = performance.now();
      cluster.worker(victim(cluster, count)).signal('SIGKILL');
      return [{ seconds: await cluster.secondsToCommit(at, generation) }];
    },
  }),
};

export const freezeWorker: Fault = {
  id: 'freeze-worker',
  title: 'SIGSTOP of a worker for 3 timeouts, then SIGCONT',
  goal: 'under 2 heartbeat timeouts',
  met: ({ seconds }) => median(seconds) < 2 * TIMEOUT_S,
  waitsForSilence: true,
  open: async () => ({
    inject: async (cluster, count) => {
      const { generation } = cluster;
      const worker = cluster.worker(victim(cluster, count));
      const at = performance.now();
      worker.signal('SIGSTOP');
      try {
        const seconds = await cluster.secondsToCommit(at, generation);
        await pause(at + 3 * HEARTBEAT_TIMEOUT_MS - performance.now());
        return [{ seconds }];
      } finally {
        worker.signal('SIGCONT');
      }
    },
  }),
};

export const killAllWorkers: Fault = {
  id: 'kill-all-workers',
  title: 'SIGKILL of all workers at once',
  goal: 'goes on by itself',
  met: () => true,
  waitsForSilence: true,
  open: async () => ({
    inject: async (cluster) => {
      const { generation } = cluster;
      const at = performance.now();
      for (const name of cluster.names) cluster.worker(name).signal('SIGKILL');
      return [{ seconds: await cluster.secondsToCommit(at, generation) }];
    },
  }),
};

/** As the worker logs it. */
const LOADED = /loaded state \d+ .*: ([\d.]+) MB at ([\d.]+) MB\/s/;

/** The longest pause between two commits while a worker joins, beyond a quiet step, against the time its state took. */
export const joinWorker: Fault = {
  id: 'join',
  title: 'a worker joins mid-run (seconds: longest pause between two commits)',
  goal: 'stops nobody for longer than a step and the transfer of the state',
  // Two steps, as the others finish theirs before the newcomer's first one begins.
  met: ({ seconds, quietStep }) => median(seconds) < REDONE_STEPS * quietStep + TRANSFER_S,
  open: async () => ({
    inject: async (cluster, count) => {
      const name = `newcomer-${count}`;
      const before = cluster.timeline.commits().at(-1)?.at ?? 0;
      const { length } = cluster.names;
      await cluster.addWorker(name);
      await cluster.whole(length + 1);
      await cluster.commits(2);
      const seconds = Math.max(...cluster.timeline.gaps(before, performance.now()));
      const transfer = cluster.linesOf(name).flatMap((line) => LOADED.exec(line)?.slice(0, 3) ?? []);
      await cluster.removeWorker(name);
      return [{ seconds, detail: transfer.length === 0 ? 'no transfer' : `${transfer[1]} MB at ${transfer[2]} MB/s` }];
    },
  }),
};
