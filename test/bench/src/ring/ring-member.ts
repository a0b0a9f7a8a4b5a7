// One member of the ring that ring.ts measures: node ring-member.js RANK N [tcp], over IPC. Members are on
// one host, and so dial each other's local sockets, unless it says tcp.
import { z } from 'zod';
import { DataServer, newLocalName } from '@lockstep/comm';
import { nextOrder, tellParent } from './member-channel.js';
import { ringOrderSchema, ringPlaceSchema, type MemoryOrder, type ReduceOrder } from './orders.js';

// More members than cores may wait long for their turn; a slow start is not what is measured.
const HEARTBEAT_TIMEOUT_MS = 30_000;

/** So few that nothing of theirs is collected before it is counted. */
const GARBAGE_STEPS = 20;

const [rank, n] = process.argv.slice(2, 4).map(Number);
const localName = process.argv[4] === 'tcp' ? null : newLocalName();
const server = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId: String(rank), localName });
tellParent({ port: server.port, ...(server.local !== null && { local: server.local }) });
const places = z.array(ringPlaceSchema).parse(await nextOrder());
const ring = places.map(({ port, local }, id) => ({
  id: String(id),
  host: '127.0.0.1',
  port,
  ...(local !== undefined && { local }),
}));
const [predecessor, successor] = [ring[(rank + n - 1) % n], String((rank + 1) % n)];
const link = await server.joinRing({
  generation: 1,
  place: { rank, size: n, predecessor, successor, total: n, leaders: null },
  heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
  signal: AbortSignal.timeout(HEARTBEAT_TIMEOUT_MS),
});

const barrier = new Int32Array(1);
let buffer: Int32Array = new Int32Array(0);
let round = 0;
const allReduce = (values: Int32Array): Promise<object> => link.allReduce({ round: round++, buffer: values });

/** Seconds of one all-reduce, of `repeats` without a pause between them; after one that is checked, and a barrier. */
async function reduce({ elements, repeats }: ReduceOrder): Promise<number> {
  if (buffer.length !== elements) buffer = new Int32Array(new SharedArrayBuffer(elements * 4));
  buffer.fill(rank + 1);
  await allReduce(buffer);
  const expected = (n * (n + 1)) / 2;
  if (buffer[0] !== expected || buffer[elements >> 1] !== expected || buffer.at(-1) !== expected)
    throw new Error('wrong sum');
  await allReduce(barrier);
  const start = performance.now();
  for (let repeat = 0; repeat < repeats; repeat++) await allReduce(buffer);
  return (performance.now() - start) / 1e3 / repeats;
}

/** Memory every `every` steps, after a collection, and what a step after it allocates on the heap; all in bytes. */
async function memory({ elements, steps, every }: MemoryOrder): Promise<object[]> {
  buffer = new Int32Array(new SharedArrayBuffer(elements * 4));
  const samples = [];
  for (let i = 0; i <= steps; i++) {
    if (i % every === 0) {
      globalThis.gc?.();
      const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
      samples.push({ step: i, heapUsed, external, arrayBuffers, rss, garbage: 0 });
    }
    await allReduce(buffer);
    if (i % every === GARBAGE_STEPS - 1) {
      const sample = samples[samples.length - 1];
      sample.garbage = (process.memoryUsage().heapUsed - sample.heapUsed) / GARBAGE_STEPS;
    }
  }
  return samples;
}

tellParent('joined');
for (let message = await nextOrder(); message !== null; message = await nextOrder()) {
  const order = ringOrderSchema.parse(message);
  tellParent(await (order.kind === 'memory' ? memory(order) : reduce(order)));
}
link.close();
await server.close();
process.disconnect();
