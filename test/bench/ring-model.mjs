// Latency of the ring and of its two tiers for more workers than a machine can hold.
//
//   node test/bench/ring-model.mjs        (after the build)   prints one JSON object
//
// Words. A hop is one passage of a segment over one link. alpha: seconds of a hop without payload, as one-element all-reduces
// over real loopback sockets between two processes take them; c: processor seconds of a hop, from members that share one
// process. S: bytes of the sum, B: bytes a second of a link.
//
// Simulated: the production RingReduction of every member in virtual time; a link carries one segment after another at B, each
// arrives alpha after its last byte. Only the clock is of interest: all members share one buffer, whose values mean nothing.
// A segment of a chunk travels while the next one is sent, so with chunks of several segments (n = 8) the simulated time is below
// the formula. Formula: one ring 2(n-1)(alpha + S/nB); two tiers twice that for the largest group and once for the leaders.
import { TIERS_FROM, groupsOf } from '../../apps/coordinator/dist/decide/topology.js';
import { DataServer, RingReduction } from '../../libs/comm/dist/index.js';
import { ringSeconds, tiersSeconds } from './scale-model.mjs';
import { ringTimes } from './scale-ring.mjs';
import { print } from './result.mjs';
import { summary } from './summary.mjs';

/** Parameters of the network of the benchmarks. */
const ELEMENTS = 770_000;
/** 10 Gbit/s. */
const BYTES_A_SECOND = 1.25e9;
const SIZES = [8, 64, 512, 4096];
/** One ring of more members has tens of millions of hops to simulate. */
const MOST_IN_ONE_SIMULATED_RING = 512;
const SAMPLES = 15;
const REDUCTIONS_A_SAMPLE = 100;
const HEARTBEAT_TIMEOUT_MS = 30_000;

function placeIn(ring, rank) {
  const size = ring.length;
  const [predecessor, successor] = [ring[(rank + size - 1) % size], ring[(rank + 1) % size].id];
  return { rank, size, predecessor, successor, total: size, leaders: null };
}

function listen(rank) {
  return DataServer.listen({ host: '127.0.0.1', port: 0, selfId: String(rank) });
}

function join(server, ring, rank) {
  const signal = AbortSignal.timeout(HEARTBEAT_TIMEOUT_MS);
  const place = placeIn(ring, rank);
  return server.joinRing({ generation: 1, place, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS, signal });
}

const memberAt = (port, rank) => ({ id: String(rank), host: '127.0.0.1', port });

/** Processor seconds of a hop, by sample of one-element all-reduces on these links. The first only warms up. */
async function hopsOf(links) {
  const hops = 2 * (links[0].n - 1) * REDUCTIONS_A_SAMPLE;
  const buffers = links.map(() => new Int32Array(1));
  const samples = [];
  for (let sample = 0; sample <= SAMPLES; sample++) {
    const started = processorSeconds();
    for (let i = 0; i < REDUCTIONS_A_SAMPLE; i++) {
      const round = sample * REDUCTIONS_A_SAMPLE + i;
      await Promise.all(links.map((link, rank) => link.allReduce({ round, buffer: buffers[rank] })));
    }
    samples.push((processorSeconds() - started) / hops);
  }
  return samples.slice(1);
}

function processorSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Seconds of a hop between two processes, by all-reduce. */
async function measureAlpha() {
  const places = Array.from({ length: 2 }, () => ({ before: [], host: '127.0.0.1' }));
  const [seconds] = await ringTimes({ places, elements: [1], repeats: SAMPLES * REDUCTIONS_A_SAMPLE });
  return seconds.map((whole) => whole / 2);
}

async function measureProcessor(n) {
  const servers = await Promise.all(Array.from({ length: n }, (_, rank) => listen(rank)));
  const ring = servers.map((server, rank) => memberAt(server.port, rank));
  const links = await Promise.all(servers.map((server, rank) => join(server, ring, rank)));
  const samples = await hopsOf(links);
  for (const link of links) link.close();
  await Promise.all(servers.map((server) => server.close()));
  return samples;
}

/** Earliest first; equal times in the order they were put in. */
class Agenda {
  #heap = [];
  #order = 0;

  get size() {
    return this.#heap.length;
  }

  put(at, event) {
    const heap = this.#heap;
    const entry = { at, order: this.#order++, event };
    let i = heap.length;
    for (; i > 0; i = (i - 1) >> 1) {
      const parent = heap[(i - 1) >> 1];
      if (!isBefore(entry, parent)) break;
      heap[i] = parent;
    }
    heap[i] = entry;
  }

  take() {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function isBefore(a, b) {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

const buffer = new Int32Array(ELEMENTS);

/** One all-reduce in virtual time. starts: when each member enters it, s. Returns when each has the sum. */
function simulateRing(starts, alpha) {
  const n = starts.length;
  const members = starts.map((_, rank) => new RingReduction({ rank, n, buffer }));
  const linkFree = starts.map(() => 0);
  const finished = [...starts];
  const agenda = new Agenda();
  const send = (rank, now) => {
    for (let next = members[rank].takeSend(); next !== undefined; next = members[rank].takeSend()) {
      const left = Math.max(now, linkFree[rank]) + next.payload.byteLength / BYTES_A_SECOND;
      linkFree[rank] = left;
      const to = (rank + 1) % n;
      agenda.put(Math.max(left + alpha, starts[to]), { to, segment: next });
    }
  };
  starts.forEach((at, rank) => agenda.put(at, { to: rank, segment: null }));
  while (agenda.size > 0) {
    const { at, event } = agenda.take();
    const { to, segment } = event;
    if (segment !== null) {
      members[to].place(segment.hop, segment.segment, segment.payload.length);
      members[to].received();
    }
    finished[to] = Math.max(finished[to], at);
    send(to, at);
  }
  if (!members.every((one) => one.done)) throw new Error('the simulated ring stands still');
  return finished;
}

/** The three phases of libs/comm's tiers.ts, in virtual time. */
function simulateTiers(groups, alpha) {
  const collected = groups.map((group) =>
    simulateRing(
      group.map(() => 0),
      alpha,
    ),
  );
  const exchanged = simulateRing(
    collected.map(([leader]) => leader),
    alpha,
  );
  const spread = collected.flatMap(([, ...others], group) => simulateRing([exchanged[group], ...others], alpha));
  return Math.max(...spread);
}

const constantsOf = (alpha) => ({ alpha, beta: 1 / BYTES_A_SECOND, bytes: ELEMENTS * 4 });
const ringFormula = (n, alpha) => ringSeconds(n, constantsOf(alpha));
const tiersFormula = (groups, alpha) => tiersSeconds(groups, constantsOf(alpha));

/** Groups of n members on hosts of their own. */
const groupsFor = (n) => groupsOf(Array.from({ length: n }, (_, index) => ({ host: String(index) })));

/** The n from which on two tiers are quicker, by the formulas. */
function quickerFrom(alpha) {
  let n = SIZES.at(-1);
  while (n > 2 && tiersFormula(groupsFor(n - 1), alpha) < ringFormula(n - 1, alpha)) n--;
  return n;
}

function modelOf(n, alpha) {
  const groups = groupsFor(n);
  const milliseconds = (seconds) => Number((seconds * 1e3).toFixed(3));
  const simulated =
    n > MOST_IN_ONE_SIMULATED_RING
      ? null
      : Math.max(
          ...simulateRing(
            Array.from({ length: n }, () => 0),
            alpha,
          ),
        );
  return {
    n,
    oneRing: {
      hops: 2 * (n - 1),
      simulatedMs: simulated === null ? null : milliseconds(simulated),
      formulaMs: milliseconds(ringFormula(n, alpha)),
    },
    twoTiers: {
      groups: groups.length,
      largestGroup: Math.max(...groups.map((group) => group.length)),
      hops: 4 * (Math.max(...groups.map((group) => group.length)) - 1) + 2 * (groups.length - 1),
      simulatedMs: milliseconds(simulateTiers(groups, alpha)),
      formulaMs: milliseconds(tiersFormula(groups, alpha)),
    },
  };
}

async function main() {
  const alphas = await measureAlpha();
  const alpha = summary(alphas);
  const processor = [];
  for (const n of [8, 16]) processor.push({ n, seconds: summary(await measureProcessor(n)) });
  const result = {
    node: process.version,
    note: 'alpha and processor time were measured on a shared, busy machine over loopback; a real network adds its own delay',
    elements: ELEMENTS,
    bytesASecond: BYTES_A_SECOND,
    alphaSeconds: alpha,
    processorSecondsAHop: processor,
    modelledWithAlphaSeconds: alpha.median,
    model: SIZES.map((n) => modelOf(n, alpha.median)),
    tiersQuickerFrom: [alpha.min, alpha.median, 1e-4, 2e-4].map((a) => ({ alphaSeconds: a, n: quickerFrom(a) })),
    tiersFrom: TIERS_FROM,
  };
  print(result);
}

await main();
