/**
 * The ring's own constants: all-reduces by members in given places, with nothing else going on.
 *
 *   ringTimes({places, elements, repeats})     each member is this file, run with --member
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { DataServer } from '../../libs/comm/dist/index.js';
import { Disturbed } from './disturbed.mjs';

const WARM_UP = 5;
const TIMEOUT_MS = 30_000;

/** @returns {Promise<number[][]>} by size, seconds of each repeat on the slowest member; a one-element all-reduce before each */
export async function ringTimes({ places, elements, repeats }) {
  const n = places.length;
  const children = places.map(({ before, host }, rank) => {
    const task = JSON.stringify({ rank, n, host, elements, repeats });
    const [command, ...args] = [...before, process.execPath, fileURLToPath(import.meta.url), '--member', task];
    return spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  });
  const anyEnds = Promise.race(children.map((child) => once(child, 'exit'))).then(([code, signal]) => {
    throw new Disturbed(`a member of the ring ended, by ${signal ?? `status ${code}`}`);
  });
  // When all is measured, they are ended and nobody waits for it.
  anyEnds.catch(() => undefined);
  try {
    const answers = async () =>
      (await Promise.race([anyEnds, Promise.all(children.map((child) => once(child, 'message')))])).map(
        ([message]) => message,
      );
    const ports = await answers();
    const ring = ports.map((port, rank) => ({ id: String(rank), host: places[rank].host, port }));
    const results = answers();
    for (const child of children) child.send(ring);
    const byMember = await results;
    return elements.map((_, size) =>
      Array.from({ length: repeats }, (_, repeat) => Math.max(...byMember.map((seconds) => seconds[size][repeat]))),
    );
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

async function member({ rank, n, host, elements, repeats }) {
  const server = await DataServer.listen({ host, port: 0, selfId: String(rank) });
  process.send(server.port);
  const [ring] = await once(process, 'message');
  const [predecessor, successor] = [ring[(rank + n - 1) % n], ring[(rank + 1) % n].id];
  const place = { rank, size: n, predecessor, successor, total: n, leaders: null };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const link = await server.joinRing({ generation: 1, place, heartbeatTimeoutMs: TIMEOUT_MS, signal });
  const barrier = new Int32Array(1);
  let round = 0;
  const seconds = [];
  for (const size of elements) {
    const buffer = new Int32Array(new SharedArrayBuffer(size * 4));
    const times = [];
    for (let repeat = 0; repeat < WARM_UP + repeats; repeat++) {
      buffer.fill(1);
      await link.allReduce({ round: round++, buffer: barrier });
      const stats = await link.allReduce({ round: round++, buffer });
      if (buffer[0] !== n || buffer[size - 1] !== n) throw new Error('wrong sum');
      times.push(stats.seconds);
    }
    seconds.push(times.slice(WARM_UP));
  }
  process.send(seconds);
}

if (process.argv[2] === '--member') await member(JSON.parse(process.argv[3]));
