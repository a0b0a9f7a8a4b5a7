/**
 * Work for the members of a cluster that train nothing at the moment. Workers on one machine share its caches and its memory: one
 * alone would be quicker than four are, which says nothing of a cluster. So every member always computes: who is not a worker of the
 * run does training steps of its own (step-ours.mjs), within the same share of a core.
 */
import { fileURLToPath } from 'node:url';
import { engineEnvironment } from '../../libs/engine/dist/index.js';
import { Served } from './served.mjs';

const IMAGES = 8;

/** Opens one process in each place; none works before `busyFrom`. */
export async function openLoad(places) {
  const processes = places.map(
    ({ name, before: [command, ...rest] }) =>
      new Served({
        name: `load of ${name}`,
        command,
        args: [
          ...rest,
          process.execPath,
          fileURLToPath(new URL('step-ours.mjs', import.meta.url)),
          '1',
          '8',
          `${IMAGES}`,
        ],
        threads: null,
        env: { ...process.env, ...engineEnvironment({ device: 'cpu', threads: 1 }) },
      }),
  );
  for (const one of processes) await one.next();
  let first = processes.length;
  const working = processes.map(() => Promise.resolve());
  const work = async (index) => {
    while (index >= first) await processes[index].run();
  };
  return {
    /** Place n and all after it work from now on, those before it rest. Resolves when these have finished the step they are in. */
    busyFrom: async (n) => {
      first = n;
      await Promise.all(working.slice(0, n));
      for (let index = n; index < processes.length; index++) working[index] = working[index].then(() => work(index));
    },
    kill: () => processes.forEach((one) => one.kill()),
  };
}
