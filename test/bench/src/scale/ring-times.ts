/** The ring's own constants: all-reduces by members in given places, with nothing else going on. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { benchProgram } from '../places.js';
import { Disturbed, endText, type Ended } from '../result/disturbed.js';
import type { Place } from '../train/training-run.js';

export interface RingTask {
  readonly places: readonly Place[];
  /** Of the buffers to sum. */
  readonly elements: readonly number[];
  readonly repeats: number;
}

const portSchema = z.number();
const secondsSchema = z.array(z.array(z.number()));

/** By size, seconds of each repeat on the slowest member; a one-element all-reduce before each. @throws Disturbed if a member ends */
export async function ringTimes({ places, elements, repeats }: RingTask): Promise<number[][]> {
  const n = places.length;
  const children = places.map(({ before, host }, rank) => {
    const task = JSON.stringify({ rank, n, host, elements, repeats });
    const [command, ...args] = [...before, process.execPath, benchProgram('scale/ring-times-member.js'), task];
    return spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  });
  const ends = children.map(
    (child) =>
      new Promise<Ended>((resolve, reject) =>
        child.on('error', reject).on('exit', (code, signal) => resolve({ code, signal })),
      ),
  );
  const anyEnds = Promise.race(ends).then((ended): never => {
    throw new Disturbed(`a member of the ring ended, by ${endText(ended)}`);
  });
  // When all is measured, they are ended and nobody waits for it.
  anyEnds.catch(() => undefined);
  const answers = <T>(schema: z.ZodType<T>): Promise<T[]> =>
    Promise.race([
      anyEnds,
      Promise.all(
        children.map(async (child) => {
          const [message] = (await once(child, 'message')) as readonly unknown[];
          return schema.parse(message);
        }),
      ),
    ]);
  try {
    const ports = await answers(portSchema);
    const ring = ports.map((port, rank) => ({ id: String(rank), host: places[rank].host, port }));
    const results = answers(secondsSchema);
    for (const child of children) child.send(ring);
    const byMember = await results;
    return elements.map((_, size) =>
      Array.from({ length: repeats }, (__, repeat) => Math.max(...byMember.map((seconds) => seconds[size][repeat]))),
    );
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}
