// One member of the ring that ring.mjs measures: node ring-member.mjs RANK N [tcp], over IPC. Members are on
// one host, and so dial each other's local sockets, unless it says tcp.
import { once } from 'node:events';
import { DataServer, newLocalName } from '../../libs/comm/dist/index.js';

// More members than cores may wait long for their turn; a slow start is not what is measured.
const HEARTBEAT_TIMEOUT_MS = 30_000;

/** So few that nothing of theirs is collected before it is counted. */
const GARBAGE_STEPS = 20;

const [rank, n] = process.argv.slice(2, 4).map(Number);
const transport = process.argv[4];
const localName = transport === 'tcp' ? null : newLocalName();
const server = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId: String(rank), localName });
process.send({ port: server.port, ...(server.local !== null && { local: server.local }) });
const [places] = await once(process, 'message');
const ring = places.map((place, id) => ({ id: String(id), host: '127.0.0.1', ...place }));
const [predecessor, successor] = [ring[(rank + n - 1) % n], String((rank + 1) % n)];
const link = await server.joinRing({
  generation: 1,
  place: { rank, size: n, predecessor, successor, total: n, leaders: null },
  heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
  signal: AbortSignal.timeout(HEARTBEAT_TIMEOUT_MS),
});

const barrier = new Int32Array(1);
let buffer = new Int32Array(0);
let round = 0;
const allReduce = (values) => link.allReduce({ round: round++, buffer: values });

/** Seconds of one all-reduce, of `repeats` without a pause between them; after one that is checked, and a barrier. */
async function reduce({ elements, repeats }) {
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
async function memory({ elements, steps, every }) {
  buffer = new Int32Array(new SharedArrayBuffer(elements * 4));
  const samples = [];
  for (let i = 0; i <= steps; i++) {
    if (i % every === 0) {
      globalThis.gc();
      const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
      samples.push({ step: i, heapUsed, external, arrayBuffers, rss, garbage: 0 });
    }
    await allReduce(buffer);
    if (i % every === GARBAGE_STEPS - 1) {
      const sample = samples.at(-1);
      sample.garbage = (process.memoryUsage().heapUsed - sample.heapUsed) / GARBAGE_STEPS;
    }
  }
  return samples;
}

process.send('joined');
for await (const [order] of messages()) {
  process.send(await (order.kind === 'memory' ? memory(order) : reduce(order)));
}
link.close();
await server.close();
process.disconnect();

async function* messages() {
  for (;;) {
    const message = await once(process, 'message');
    if (message[0] === 'stop') return;
    yield message;
  }
}
