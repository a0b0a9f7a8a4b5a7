/**
 * Work for the members of a cluster that train nothing at the moment. Workers on one machine share its caches and its memory: one
 * alone would be quicker than four are, which says nothing of a cluster. So every member always computes: who is not a worker of the
 * run does training steps of its own (step-ours.ts), within the same share of a core.
 */
import { engineEnvironment } from '@lockstep/engine';
import { Served } from '../peers/served.js';
import { benchProgram } from '../places.js';
import type { WorkerPlace } from '../train/training-run.js';

const IMAGES = 8;
const MICROBATCH = 8;

export interface Load {
  /** Place n and all after it work from now on, those before it rest. Resolves when these have finished the step they are in. */
  readonly busyFrom: (n: number) => Promise<void>;
  readonly kill: () => void;
}

/** Opens one process in each place; none works before `busyFrom`. */
export async function openLoad(places: readonly WorkerPlace[]): Promise<Load> {
  const processes = places.map(({ name, before }) => {
    const ours = [process.execPath, benchProgram('step/step-ours.js'), '1', String(MICROBATCH), String(IMAGES)];
    const [command, ...args] = [...before, ...ours];
    const env = { ...process.env, ...engineEnvironment({ device: 'cpu', threads: 1 }) };
    return new Served({ name: `load of ${name}`, command, args, threads: null, env });
  });
  for (const one of processes) await one.hello();
  let first = processes.length;
  const working = processes.map(() => Promise.resolve());
  const work = async (index: number): Promise<void> => {
    while (index >= first) await processes[index].run();
  };
  return {
    busyFrom: async (n) => {
      first = n;
      await Promise.all(working.slice(0, n));
      for (let index = n; index < processes.length; index++) working[index] = working[index].then(() => work(index));
    },
    kill: () => processes.forEach((one) => one.kill()),
  };
}
