// Bus bandwidth of the ring all-reduce over loopback: real processes, real sockets.
//
//   node test/bench/dist/ring/ring.js [--python PATH] [--rounds N] [--n 2,4,8] [--sizes BYTES,BYTES] [--quick] [--memory]
//
// Prints one JSON object. About 2 minutes, --quick (fewer rounds, four sizes) half a minute.
//
// The ring is measured twice: `lockstep` as members on one host run it, over local sockets; `lockstepTcp` over TCP on loopback,
// as peers are. Peers take turns with the two, size by size, so that all see the same machine in the same seconds:
//   gloo       with a Python that has torch (--python or the peers'): its all_reduce of float32
//   tcpOneWay  at n = 2: as many bytes as the ring sends each way, over one bare TCP connection of two Node processes
//   tcpTwoWay  the same in both directions at once, as the ring has it: bytes a second of each direction
// One sample is the slowest rank's time of several all-reduces without a pause between them, over their number, after a
// barrier. busbw = bytes / seconds * 2(n-1)/n, which is what each member sends a second; ratios are of medians.
//
// --memory instead: heap and memory, after a collection each, and garbage of a step, of two members over 3000 steps of a gradient
// of 770,000 parameters.
import { parseArgs } from 'node:util';
import { peerPython, type Versions } from '../peers/peers.js';
import { print } from '../result/result.js';
import { summary } from '../result/summary.js';
import { memorySamplesSchema, secondsSchema, spanSchema } from './orders.js';
import { GlooGroup, Group } from './ring-group.js';
import type { Point, Side, SideName } from './ring-points.js';
import { ringMemoryRows, ringRows } from './ring-rows.js';

const KIB = 1024;
const SIZES = [64, 256, 1024, 4096, 16_384, 65_536].map((size) => size * KIB);
const QUICK_SIZES = [64, 1024, 4096, 16_384].map((size) => size * KIB);
/** All-reduces in a sample: one that takes a few milliseconds mostly tells which process slept when it was asked. */
const SAMPLE_BYTES = 32 * 1024 * KIB;
const MOST_REPEATS = 24;
/** The first rounds of a size grow the kernel's socket buffers. */
const WARM_UP = 2;
/**
 * Before all, as many as it takes until V8 has compiled what a job of thousands of steps runs compiled: some hundred of each
 * kind, of small chunks, of chunks in one segment and in several.
 */
const FIRST = { bytes: [64, 1024, 4096].map((size) => size * KIB), repeats: 8, milliseconds: 4000 };

/** Over the first steps V8 compiles, and keeps its code in the heap; the thousand after MEMORY_FROM tell whether anything else stays. */
const MEMORY = { kind: 'memory', elements: 770_000, steps: 3000, every: 100 };
const MEMORY_FROM = 2000;

const MEMBER = 'ring/ring-member.js';
const TCP_END = 'ring/ring-tcp.js';

/** Takes a sample: seconds of one all-reduce of so many bytes, of so many without a pause between them. */
type Sampler = (bytes: number, repeats: number) => Promise<number>;

/** What is measured at n members. */
interface Contenders {
  readonly samplers: readonly (readonly [SideName, Sampler])[];
  readonly versions: Versions;
  readonly stop: () => Promise<void>;
}

/** The slowest rank's time. */
const ofRing =
  (group: Group): Sampler =>
  async (bytes, repeats) =>
    Math.max(...(await group.tell({ kind: 'reduce', elements: bytes / 4, repeats }, secondsSchema)));

const ofGloo =
  (group: GlooGroup): Sampler =>
  async (bytes, repeats) =>
    Math.max(...(await group.tell({ kind: 'reduce', elements: bytes / 4, repeats })));

/** From the first begin to the last end. */
const ofTcp =
  (group: Group, twoWay: boolean): Sampler =>
  async (bytes, repeats) => {
    const spans = await group.tell({ bytes: bytes * repeats, twoWay }, spanSchema);
    return (Math.max(...spans.map(({ end }) => end)) - Math.min(...spans.map(({ start }) => start))) / repeats;
  };

async function contenders(n: number, python: string | undefined): Promise<Contenders> {
  const ring = await Group.start(MEMBER, n);
  const overTcp = await Group.start(MEMBER, n, 'tcp');
  const gloo = python === undefined ? null : await GlooGroup.start(python, n);
  const tcp = n === 2 ? await Group.start(TCP_END, 2) : null;
  const samplers: [SideName, Sampler][] = [
    ['lockstep', ofRing(ring)],
    ['lockstepTcp', ofRing(overTcp)],
  ];
  if (gloo !== null) samplers.push(['gloo', ofGloo(gloo)]);
  if (tcp !== null) samplers.push(['tcpOneWay', ofTcp(tcp, false)], ['tcpTwoWay', ofTcp(tcp, true)]);
  return {
    samplers,
    versions: gloo?.versions ?? {},
    stop: async () => {
      await Promise.all([ring, overTcp, gloo, tcp].flatMap((group) => (group === null ? [] : [group.stop()])));
    },
  };
}

interface Plan {
  readonly python: string | undefined;
  readonly sizes: readonly number[];
  readonly rounds: number;
}

/** The points of n members, and the peers' versions. */
async function measure(n: number, { python, sizes, rounds }: Plan): Promise<{ points: Point[]; versions: Versions }> {
  const { samplers, versions, stop } = await contenders(n, python);
  for (const [, sampler] of samplers) await warmUp(sampler);
  const points: Point[] = [];
  for (const bytes of sizes) {
    const repeats = Math.max(1, Math.min(MOST_REPEATS, SAMPLE_BYTES / bytes));
    const samples = samplers.map(([name, sampler]) => ({ name, sampler, seconds: new Array<number>() }));
    for (let round = -WARM_UP; round < rounds; round++) {
      for (const { sampler, seconds } of samples) {
        const sample = await sampler(bytes, repeats);
        if (round >= 0) seconds.push(sample);
      }
    }
    points.push(pointOf(n, bytes, new Map(samples.map(({ name, seconds }) => [name, seconds]))));
  }
  await stop();
  return { points, versions };
}

async function warmUp(sampler: Sampler): Promise<void> {
  const end = performance.now() + FIRST.milliseconds;
  while (performance.now() < end) for (const bytes of FIRST.bytes) await sampler(bytes, FIRST.repeats);
}

function pointOf(n: number, bytes: number, samples: ReadonlyMap<SideName, readonly number[]>): Point {
  const factor = (2 * (n - 1)) / n;
  const sideOf = (name: SideName): Side => {
    const { min, median } = summary(samples.get(name) ?? []);
    const gbps = (seconds: number): number => Number(((bytes * factor) / seconds / 1e9).toFixed(3));
    return { minSeconds: min, medianSeconds: median, bestGBps: gbps(min), medianGBps: gbps(median) };
  };
  const peer = (name: SideName): Side | undefined => (samples.has(name) ? sideOf(name) : undefined);
  return {
    ...{ n, bytes, samples: samples.get('lockstep')?.length ?? 0 },
    ...{ lockstep: sideOf('lockstep'), lockstepTcp: sideOf('lockstepTcp') },
    ...{ gloo: peer('gloo'), tcpOneWay: peer('tcpOneWay'), tcpTwoWay: peer('tcpTwoWay') },
  };
}

/** Of the peers' medians to ours. */
function ratiosOf(point: Point): object {
  const { lockstep, lockstepTcp, gloo, tcpOneWay, tcpTwoWay } = point;
  const over = (ours: Side): object =>
    Object.fromEntries(
      Object.entries({ gloo, tcpOneWay, tcpTwoWay }).flatMap(([name, peer]) =>
        peer === undefined ? [] : [[name, Number((peer.medianSeconds / ours.medianSeconds).toFixed(3))]],
      ),
    );
  return { ratios: over(lockstep), ratiosTcp: over(lockstepTcp) };
}

async function bandwidths(members: readonly number[], plan: Plan): Promise<void> {
  const all = [];
  for (const n of members) all.push(await measure(n, plan));
  const peers = Object.fromEntries(all.flatMap(({ versions }) => Object.entries(versions)));
  const points = all.flatMap((one) => one.points);
  const node = process.version;
  print({
    bench: 'ring',
    rows: ringRows({ node, peers, results: points }),
    node,
    peers,
    results: points.map((point) => ({ ...point, ...ratiosOf(point) })),
  });
}

async function memory(): Promise<void> {
  const ring = await Group.start(MEMBER, 2);
  const members = await ring.tell(MEMORY, memorySamplesSchema);
  await ring.stop();
  const measured = { gradientBytes: MEMORY.elements * 4, from: MEMORY_FROM, members };
  print({ bench: 'ring-memory', rows: ringMemoryRows(measured), node: process.version, ...measured });
}

const list = (text: string): number[] => text.split(',').map(Number);
const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    rounds: { type: 'string' },
    n: { type: 'string', default: '2,4,8' },
    sizes: { type: 'string' },
    quick: { type: 'boolean', default: false },
    memory: { type: 'boolean', default: false },
  },
});
const sizes = values.quick ? QUICK_SIZES : SIZES;
if (values.memory) await memory();
else
  await bandwidths(list(values.n), {
    python: values.python ?? peerPython(),
    rounds: Number(values.rounds ?? (values.quick ? 5 : 11)),
    sizes: values.sizes === undefined ? sizes : list(values.sizes),
  });
