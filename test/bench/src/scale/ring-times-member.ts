// One of the members that ring-times.ts starts: node ring-times-member.js TASK, over IPC.
import { z } from 'zod';
import { DataServer } from '@lockstep/comm';
import { nextOrder, tellParent } from '../ring/member-channel.js';

const WARM_UP = 5;
const TIMEOUT_MS = 30_000;

const taskSchema = z.object({
  rank: z.number(),
  n: z.number(),
  host: z.string(),
  elements: z.array(z.number()),
  repeats: z.number(),
});
const ringSchema = z.array(z.object({ id: z.string(), host: z.string(), port: z.number() }));

const { rank, n, host, elements, repeats } = taskSchema.parse(JSON.parse(process.argv[2] ?? ''));
const server = await DataServer.listen({ host, port: 0, selfId: String(rank) });
tellParent(server.port);
const ring = ringSchema.parse(await nextOrder());
const [predecessor, successor] = [ring[(rank + n - 1) % n], ring[(rank + 1) % n].id];
const place = { rank, size: n, predecessor, successor, total: n, leaders: null };
const signal = AbortSignal.timeout(TIMEOUT_MS);
const link = await server.joinRing({ generation: 1, place, heartbeatTimeoutMs: TIMEOUT_MS, signal });
const barrier = new Int32Array(1);
let round = 0;

/** Seconds of each all-reduce of so many numbers. */
async function timesOf(size: number): Promise<number[]> {
  const buffer = new Int32Array(new SharedArrayBuffer(size * 4));
  const times: number[] = [];
  for (let repeat = 0; repeat < WARM_UP + repeats; repeat++) {
    buffer.fill(1);
    await link.allReduce({ round: round++, buffer: barrier });
    const stats = await link.allReduce({ round: round++, buffer });
    if (buffer[0] !== n || buffer[size - 1] !== n) throw new Error('wrong sum');
    times.push(stats.seconds);
  }
  return times.slice(WARM_UP);
}

const seconds: number[][] = [];
for (const size of elements) seconds.push(await timesOf(size));
tellParent(seconds);
