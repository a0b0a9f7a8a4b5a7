// Latency of the ring and of its two tiers for more workers than a machine can hold.
//
//   node test/bench/dist/ring/ring-model.js        prints one JSON object
//
// Words. A hop is one passage of a segment over one link. alpha: seconds of a hop without payload, as one-element all-reduces
// over real loopback sockets between two processes take them; c: processor seconds of a hop, from members that share one
// process. S: bytes of the sum, B: bytes a second of a link.
//
// Simulated (simulated-ring.ts): a segment of a chunk travels while the next one is sent, so with chunks of several segments (n = 8)
// the simulated time is below the formula. Formula: one ring 2(n-1)(alpha + S/nB); two tiers twice that for the largest group and once
// for the leaders.
import { TIERS_FROM, groupsOf } from '@lockstep/coordinator';
import { DataServer, type AllReduceLink, type Place } from '@lockstep/comm';
import { print } from '../result/result.js';
import { summary } from '../result/summary.js';
import { ringSeconds, tiersSeconds, type RingConstants } from '../scale/model.js';
import { ringTimes } from '../scale/ring-times.js';
import { HERE } from '../train/training-run.js';
import { simulateRing, simulateTiers, type Links } from './simulated-ring.js';

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

/** In one ring. */
type Neighbour = Place['predecessor'];

function placeIn(ring: readonly Neighbour[], rank: number): Place {
  const size = ring.length;
  const [predecessor, successor] = [ring[(rank + size - 1) % size], ring[(rank + 1) % size].id];
  return { rank, size, predecessor, successor, total: size, leaders: null };
}

function listen(rank: number): Promise<DataServer> {
  return DataServer.listen({ host: '127.0.0.1', port: 0, selfId: String(rank) });
}

function join(server: DataServer, ring: readonly Neighbour[], rank: number): Promise<AllReduceLink> {
  const signal = AbortSignal.timeout(HEARTBEAT_TIMEOUT_MS);
  const place = placeIn(ring, rank);
  return server.joinRing({ generation: 1, place, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS, signal });
}

/** Processor seconds of a hop, by sample of one-element all-reduces on these links. The first only warms up. */
async function hopsOf(links: readonly AllReduceLink[]): Promise<number[]> {
  const hops = 2 * (links.length - 1) * REDUCTIONS_A_SAMPLE;
  const buffers = links.map(() => new Int32Array(1));
  const samples: number[] = [];
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

function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Seconds of a hop between two processes, by all-reduce. */
async function measureAlpha(): Promise<number[]> {
  const [seconds] = await ringTimes({ places: [HERE, HERE], elements: [1], repeats: SAMPLES * REDUCTIONS_A_SAMPLE });
  return seconds.map((whole) => whole / 2);
}

async function measureProcessor(n: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: n }, (_, rank) => listen(rank)));
  const ring = servers.map(({ port }, rank) => ({ id: String(rank), host: '127.0.0.1', port }));
  const links = await Promise.all(servers.map((server, rank) => join(server, ring, rank)));
  const samples = await hopsOf(links);
  for (const link of links) link.close();
  await Promise.all(servers.map((server) => server.close()));
  return samples;
}

const constantsOf = (alpha: number): RingConstants => ({ alpha, beta: 1 / BYTES_A_SECOND, bytes: ELEMENTS * 4 });

/** Groups of n members on hosts of their own. */
const groupsFor = (n: number): { host: string }[][] =>
  groupsOf(Array.from({ length: n }, (_, index) => ({ host: String(index) })));

const ringFormula = (n: number, alpha: number): number => ringSeconds(n, constantsOf(alpha));
const tiersFormula = (n: number, alpha: number): number => tiersSeconds(groupsFor(n), constantsOf(alpha));

/** The n from which on two tiers are quicker, by the formulas. */
function quickerFrom(alpha: number): number {
  let n = Math.max(...SIZES);
  while (n > 2 && tiersFormula(n - 1, alpha) < ringFormula(n - 1, alpha)) n--;
  return n;
}

function modelOf(n: number, links: Links): object {
  const { alpha } = links;
  const groups = groupsFor(n);
  const largestGroup = Math.max(...groups.map((group) => group.length));
  const milliseconds = (seconds: number): number => Number((seconds * 1e3).toFixed(3));
  const starts = Array.from({ length: n }, () => 0);
  return {
    n,
    oneRing: {
      hops: 2 * (n - 1),
      simulatedMs: n > MOST_IN_ONE_SIMULATED_RING ? null : milliseconds(Math.max(...simulateRing(starts, links))),
      formulaMs: milliseconds(ringFormula(n, alpha)),
    },
    twoTiers: {
      groups: groups.length,
      largestGroup,
      hops: 4 * (largestGroup - 1) + 2 * (groups.length - 1),
      simulatedMs: milliseconds(simulateTiers(groups, links)),
      formulaMs: milliseconds(tiersFormula(n, alpha)),
    },
  };
}

async function main(): Promise<void> {
  const alpha = summary(await measureAlpha());
  const processor = [];
  for (const n of [8, 16]) processor.push({ n, seconds: summary(await measureProcessor(n)) });
  const links = { alpha: alpha.median, bytesASecond: BYTES_A_SECOND, buffer: new Int32Array(ELEMENTS) };
  print({
    node: process.version,
    note: 'alpha and processor time were measured on a shared, busy machine over loopback; a real network adds its own delay',
    elements: ELEMENTS,
    bytesASecond: BYTES_A_SECOND,
    alphaSeconds: alpha,
    processorSecondsAHop: processor,
    modelledWithAlphaSeconds: alpha.median,
    model: SIZES.map((n) => modelOf(n, links)),
    tiersQuickerFrom: [alpha.min, alpha.median, 1e-4, 2e-4].map((a) => ({ alphaSeconds: a, n: quickerFrom(a) })),
    figures: [],
    tiersFrom: TIERS_FROM,
  });
}

await main();
