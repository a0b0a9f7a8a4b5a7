/** The rows of what ring.ts measured. */
import { ratioOf, row, type Row } from '../result/result.js';
import { summary, type Figures } from '../result/summary.js';
import type { Point, Points, Side } from './ring-points.js';

/** GB/s of one side of a point: median and best are told. */
function bandwidth({ medianGBps, bestGBps }: Side, samples: number): Figures {
  return { min: medianGBps, median: medianGBps, max: bestGBps, samples };
}

function sizeName(bytes: number): string {
  const [unit, name] = bytes >= 1 << 20 ? [1 << 20, 'MiB'] : [1 << 10, 'KiB'];
  return `${Number((bytes / unit).toFixed(1))} ${name}`;
}

interface RingPeer {
  readonly key: 'gloo' | 'tcpOneWay';
  /** In the table. */
  readonly name: string;
  /** The goal, from which size on, with which n. */
  readonly atLeast: number;
  readonly fromBytes: number;
  readonly members: readonly number[];
}

const PEERS: readonly RingPeer[] = [
  { key: 'gloo', name: 'Gloo', atLeast: 1, fromBytes: 1 << 20, members: [2, 4] },
  {
    key: 'tcpOneWay',
    name: 'one TCP connection of two Node processes',
    atLeast: 0.8,
    fromBytes: 1 << 20,
    members: [2],
  },
];

interface OurSide {
  readonly key: 'lockstep' | 'lockstepTcp';
  readonly title: string;
  readonly hasGoals: boolean;
}

/** Our sides of a point: as members on one host talk, which the goals are about, and over TCP. */
const SIDES: readonly OurSide[] = [
  { key: 'lockstep', title: 'ring', hasGoals: true },
  { key: 'lockstepTcp', title: 'ring over TCP', hasGoals: false },
];

/** A row for each side, point and peer. */
export function ringRows({ node, peers, results }: Points): Row[] {
  const versions = { gloo: `torch ${peers['torch'] ?? 'of unknown version'}`, tcpOneWay: node };
  return SIDES.flatMap((side) => results.flatMap((point) => pointRows(point, side, versions)));
}

function pointRows(
  point: Point,
  { key, title, hasGoals }: OurSide,
  versions: Readonly<Record<RingPeer['key'], string>>,
): Row[] {
  const { n, bytes, samples } = point;
  const ours = bandwidth(point[key], samples);
  const measured = { name: `${title}, n = ${n}, ${sizeName(bytes)}, bus bandwidth`, unit: 'GB/s', ours };
  const against = PEERS.flatMap((peer) => {
    const side = point[peer.key];
    if (side === undefined) return [];
    const theirs = { name: peer.name, version: versions[peer.key], ...bandwidth(side, samples) };
    const { atLeast, fromBytes, members } = peer;
    const goal = hasGoals && bytes >= fromBytes && members.includes(n) ? { of: 'ratio' as const, atLeast } : null;
    return [row({ ...measured, peer: theirs, ratio: ratioOf(ours, theirs, 'max'), goal })];
  });
  return against.length === 0 ? [row(measured)] : against;
}

/** Memory of a member after a collection, bytes. */
export interface MemorySample {
  readonly step: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** What a step after it allocates on the heap; not counted behind the last. */
  readonly garbage: number;
}

export interface RingMemory {
  readonly gradientBytes: number;
  /** From this step on the heap is to be flat. */
  readonly from: number;
  /** Each member's samples. */
  readonly members: readonly (readonly MemorySample[])[];
}

/** What a thousand steps may add to the heap: less than an object a step. KiB. */
const FLAT_KIB = 64;
/** Two beyond the gradient itself, which V8 counts or not as it is shared. */
const MOST_BUFFERS = 3;

/** Growth of the heap, garbage, and memory outside of it. */
export function ringMemoryRows({ members, gradientBytes, from }: RingMemory): Row[] {
  const steady = members.map((samples) => samples.filter(({ step }) => step >= from));
  const grown = steady.map((samples) => (samples[samples.length - 1].heapUsed - samples[0].heapUsed) / 1024);
  const to = members[0].at(-1)?.step ?? from;
  const garbage = steady.flatMap((samples) => samples.slice(0, -1).map((sample) => sample.garbage / 1024));
  const most = members.map(
    (samples) => Math.max(...samples.flatMap(({ external, arrayBuffers }) => [external, arrayBuffers])) / gradientBytes,
  );
  return [
    row({
      name: `heap's growth from step ${from} to step ${to}, largest of the members`,
      unit: 'KiB',
      ours: summary([Math.max(...grown)]),
      goal: { of: 'ours', atMost: FLAT_KIB },
    }),
    row({ name: 'garbage of an all-reduce on the heap, for V8 to collect', unit: 'KiB', ours: summary(garbage) }),
    row({
      name: 'most memory outside the heap, with the gradient that is summed',
      unit: 'gradient buffers',
      ours: summary([Math.max(...most)]),
      goal: { of: 'ours', atMost: MOST_BUFFERS },
    }),
  ];
}
