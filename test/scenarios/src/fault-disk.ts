/** Faults of the coordinator's disk. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from './cluster.js';
import { SmallDisk } from './disk.js';
import type { Bench, Fault, Injection } from './fault.js';
import { nothingRedone } from './fault-coordinator.js';

const KILLING_COORDINATOR = fileURLToPath(new URL('./killing-coordinator.js', import.meta.url));

/** A bench whose run keeps `part` of its directory on a disk that can be filled. */
async function onSmallDisk(
  part: 'ledger' | 'checkpoints',
  inject: (disk: SmallDisk, cluster: Cluster) => Promise<Injection>,
): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-chaos-disk-'));
  const clean = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const disk = await SmallDisk.mount(join(folder, 'run', part));
    return {
      layout: { out: join(folder, 'run'), coordinator: () => ({ prefix: disk.prefix }), readerPrefix: disk.prefix },
      inject: async (cluster) => [await inject(disk, cluster)],
      close: async () => {
        await disk.unmount();
        clean();
      },
    };
  } catch (error) {
    clean();
    throw error;
  }
}

export const checkpointDiskFull: Fault = {
  id: 'checkpoint-disk-full',
  title: 'no space for checkpoints (seconds: from the failed one to the next step)',
  goal: 'E_CHECKPOINT_WRITE is reported, training goes on, the next checkpoint with space is whole',
  met: () => true,
  open: () =>
    onSmallDisk('checkpoints', async (disk, cluster) => {
      const filled = performance.now();
      disk.fill();
      const failed = await cluster.note('publishing fails', filled, ({ note }) => note === 'publish-failed');
      if (failed.note.code !== 'E_CHECKPOINT_WRITE')
        throw new Error(`publishing failed with ${failed.note.code ?? ''}`);
      const seconds = await cluster.secondsToCommit(failed.at);
      disk.free();
      await cluster.note('a checkpoint is published', performance.now(), ({ note }) => note === 'published');
      return { seconds };
    }),
};

export const ledgerDiskFull: Fault = {
  id: 'ledger-disk-full',
  title: 'no space for the ledger (seconds: from the restart with space)',
  goal: 'ends with E_LEDGER_WRITE; resumed, it goes on',
  met: () => true,
  waitsForSilence: true,
  open: () =>
    onSmallDisk('ledger', async (disk, cluster) => {
      const { generation } = cluster;
      const filled = performance.now();
      disk.fill();
      const over = await cluster.note('the run ends', filled, ({ note }) => note === 'over');
      const { code } = over.note.outcome ?? {};
      if (code !== 'E_LEDGER_WRITE') throw new Error(`the run ended with ${code ?? 'no word'}`);
      await cluster.ended();
      disk.free();
      const at = performance.now();
      cluster.startAll();
      return { seconds: await cluster.secondsToCommit(at, generation) };
    }),
};

/** The coordinator kills itself before operation 1, 2, ... of publishing a checkpoint, until a publication completes. */
export const killAtEachStage: Fault = {
  id: 'kill-at-each-stage',
  title: 'SIGKILL of the coordinator before each disk operation of a checkpoint',
  goal: 'no committed step is done again',
  met: () => true,
  repeats: false,
  open: async () => ({
    layout: {
      checkpointEvery: 1,
      // Its first life publishes in peace; the n-th after that ends before operation n.
      coordinator: (life) => ({ script: KILLING_COORDINATOR, env: { CHAOS_KILL_BEFORE: String(life) } }),
    },
    inject: async (cluster) => {
      const at = performance.now();
      cluster.signalCoordinator('SIGKILL');
      // What it said before it died has come by then.
      const { at: dead } = await cluster.until('it is dead', () => cluster.coordinatorEnds.find((end) => end.at > at));
      await cluster.note('a publication gets to its end', dead, ({ note }) => note === 'published');
      nothingRedone(cluster);
      const deaths = cluster.coordinatorEnds.filter((end) => end.at > at && end.signal === 'SIGKILL');
      return deaths.flatMap((death) => {
        const next = cluster.timeline.newCommit(death.at);
        return next === undefined ? [] : [{ seconds: (next.at - death.at) / 1000 }];
      });
    },
  }),
};
