/** Faults of memory and arithmetic: a bit that is not what it should be. */
import { fileURLToPath } from 'node:url';
import type { Fault } from './fault.js';
import { flipWeightBit } from './memory.js';

const FLIPPING_WORKER = fileURLToPath(new URL('./flipping-worker.js', import.meta.url));
const FLIPPER = 'flipper';
/** Its gradients before the wrong one: it takes part honestly for a few steps. */
const HONEST_GRADIENTS = 12;
/** As flipping-compute.ts prints it. */
const FLIPPED = 'flipped a bit';

export const flipWeight: Fault = {
  id: 'flip-weight',
  title: "one bit of a worker's weights flips",
  goal: 'the worker notices before its gradient counts (E_STATE_CORRUPT)',
  met: () => true,
  open: async () => ({
    inject: async (cluster, count) => {
      const name = cluster.names[count % cluster.names.length] ?? '';
      const worker = cluster.worker(name);
      const { generation } = cluster;
      // Without it the run stands still.
      cluster.signalCoordinator('SIGSTOP');
      try {
        await flipWeightBit({
          pid: worker.pid,
          port: cluster.placeOf(name).port,
          step: () => cluster.timeline.last?.status.step ?? 0,
          freeze: () => worker.signal('SIGSTOP'),
          thaw: () => worker.signal('SIGCONT'),
        });
      } finally {
        cluster.signalCoordinator('SIGCONT');
      }
      const at = performance.now();
      await cluster.until(`${name} ends`, () => (worker.running ? undefined : true));
      if (!worker.lines.some((line) => line.includes('E_STATE_CORRUPT')))
        throw new Error(`${name} did not notice:\n${worker.lines.slice(-3).join('\n')}`);
      return [{ seconds: await cluster.secondsToCommit(at, generation) }];
    },
  }),
};

export const flipGradient: Fault = {
  id: 'flip-gradient',
  title: "one bit of a worker's gradient flips; --audit-rate 1",
  goal: 'the worker is named and evicted (E_WORKER_CORRUPT)',
  met: () => true,
  open: async () => {
    const flipped = new Map<string, number>();
    return {
      layout: {
        coordinator: () => ({ args: ['--audit-rate', '1'] }),
        worker: ({ name }) =>
          name.startsWith(FLIPPER)
            ? {
                script: FLIPPING_WORKER,
                env: { CHAOS_HONEST: String(HONEST_GRADIENTS) },
                onLine: (line) => {
                  if (line === FLIPPED && !flipped.has(name)) flipped.set(name, performance.now());
                },
              }
            : {},
      },
      inject: async (cluster, count) => {
        const name = `${FLIPPER}-${count}`;
        const started = performance.now();
        await cluster.addWorker(name);
        const worker = cluster.worker(name);
        // Lost for another reason, such as a busy machine's pause, it comes back.
        const refused = await cluster.note(
          `${name} is evicted`,
          started,
          ({ note, worker }) => note === 'worker-refused' && worker === name,
        );
        if (refused.note.code !== 'E_WORKER_CORRUPT')
          throw new Error(`${name} is refused by ${refused.note.code ?? ''} ${refused.note.reason ?? ''}`);
        // What it said comes by another way than the note.
        await cluster.until(`${name} ends`, () => (worker.running ? undefined : true));
        const at = flipped.get(name);
        if (at === undefined) throw new Error(`${name} was evicted, but flipped nothing`);
        return [{ seconds: await cluster.secondsToCommit(at, refused.status.generation - 1) }];
      },
    };
  },
};
