// Bus bandwidth of the ring all-reduce over loopback: real processes, real sockets.
//
//   node test/bench/ring.mjs [--python PATH] [--rounds N] [--repeats N]
//
// With a Python that has torch (--python or LOCKSTEP_BENCH_PYTHON), Gloo's all_reduce runs interleaved with ours, so that
// both see the same machine in the same minutes. Prints one JSON object. busbw = bytes / seconds * 2(n-1)/n.
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { DataServer } from '../../libs/comm/dist/index.js';

const SIZES = [770_000, 16_000_000];
const MEMBERS = [2, 4];
// The first rounds compile the loops and grow the kernel's socket buffers.
const WARM_UP = 6;
// More members than cores may wait long for their turn; a slow start is not what is measured.
const HEARTBEAT_TIMEOUT_MS = 30_000;

function placeIn(ring, rank) {
  const size = ring.length;
  const [predecessor, successor] = [ring[(rank + size - 1) % size], ring[(rank + 1) % size].id];
  return { rank, size, predecessor, successor, total: size, leaders: null };
}

/** One member: reduces `repeats` times, a one-element all-reduce before each as a barrier. */
async function member({ rank, n, elements, repeats }) {
  const server = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId: String(rank) });
  process.send({ port: server.port });
  const [ring] = await once(process, 'message');
  const place = placeIn(ring, rank);
  const signal = AbortSignal.timeout(30_000);
  const link = await server.joinRing({ generation: 1, place, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS, signal });
  const buffer = new Int32Array(new SharedArrayBuffer(elements * 4));
  const barrier = new Int32Array(1);
  const seconds = [];
  for (let repeat = -WARM_UP; repeat < repeats; repeat++) {
    buffer.fill(rank + 1);
    const step = 2 * (repeat + WARM_UP);
    await link.allReduce({ step, buffer: barrier });
    const stats = await link.allReduce({ step: step + 1, buffer });
    const expected = (n * (n + 1)) / 2;
    if (buffer[0] !== expected || buffer[elements - 1] !== expected) throw new Error('wrong sum');
    if (repeat >= 0) seconds.push(stats.seconds);
  }
  process.send({ seconds });
  await once(process, 'message');
  link.close();
  await server.close();
  process.disconnect();
}

/** Seconds of each repeat on the slowest rank. */
async function lockstep(n, elements, repeats) {
  const children = Array.from({ length: n }, (_, rank) =>
    fork(fileURLToPath(import.meta.url), ['--member', JSON.stringify({ rank, n, elements, repeats })]),
  );
  const answers = async () =>
    (await Promise.all(children.map((child) => once(child, 'message')))).map(([message]) => message);
  const ports = await answers();
  const ring = ports.map(({ port }, rank) => ({ id: String(rank), host: '127.0.0.1', port }));
  const results = answers();
  for (const child of children) child.send(ring);
  const bySeconds = (await results).map(({ seconds }) => seconds);
  const exits = Promise.all(children.map((child) => once(child, 'exit')));
  for (const child of children) child.send('done');
  await exits;
  return bySeconds[0].map((_, repeat) => Math.max(...bySeconds.map((seconds) => seconds[repeat])));
}

async function gloo(python, n, elements, repeats) {
  const script = fileURLToPath(new URL('peers/ring_gloo.py', import.meta.url));
  const { stdout } = await promisify(execFile)(python, [script, n, elements, repeats].map(String), {
    env: { ...process.env, OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1' },
  });
  return JSON.parse(stdout);
}

function summary(n, elements, seconds) {
  const sorted = seconds.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const busbw = (s) => Number(((((elements * 4) / s) * ((2 * (n - 1)) / n)) / 1e9).toFixed(3));
  return { minSeconds: sorted[0], medianSeconds: median, bestGBps: busbw(sorted[0]), medianGBps: busbw(median) };
}

async function main({ python, rounds, repeats }) {
  const results = [];
  for (const n of MEMBERS) {
    for (const elements of SIZES) {
      const ours = [];
      const peers = [];
      for (let round = 0; round < rounds; round++) {
        const each = elements > 1_000_000 ? repeats : 4 * repeats;
        ours.push(...(await lockstep(n, elements, each)));
        if (python) peers.push(...(await gloo(python, n, elements, each)));
      }
      const result = { n, elements, lockstep: summary(n, elements, ours) };
      if (python) {
        result.gloo = summary(n, elements, peers);
        result.ratioMedian = Number((result.lockstep.medianGBps / result.gloo.medianGBps).toFixed(2));
      }
      results.push(result);
    }
  }
  console.log(JSON.stringify({ node: process.version, results }, null, 2));
}

const { values } = parseArgs({
  options: {
    member: { type: 'string' },
    python: { type: 'string', default: process.env.LOCKSTEP_BENCH_PYTHON ?? '' },
    rounds: { type: 'string', default: '3' },
    repeats: { type: 'string', default: '5' },
  },
});
if (values.member) await member(JSON.parse(values.member));
else await main({ python: values.python, rounds: Number(values.rounds), repeats: Number(values.repeats) });
