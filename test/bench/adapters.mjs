/**
 * Rows (result.mjs) from what ring.mjs and train.mjs print. They measure; how that enters the table is said here.
 *
 * ring.mjs:  {bench: 'ring', node, peers: {torch}, results: [{n, bytes, samples, lockstep, lockstepTcp, gloo?, tcpOneWay?, ...}]},
 *            each side {medianGBps, bestGBps}.
 *            With --memory {bench: 'ring-memory', gradientBytes, from, members: [[{step, heapUsed, external, arrayBuffers, garbage}]]},
 *            after a collection each; the heap is to be flat from step `from` on.
 * train.mjs: {bench: 'train', lockstep: {imagesPerSecond}, ddp?: {imagesPerSecond, variant, version}, idleShare?}; both rates and
 *            the share as {min, median, max, samples}.
 */
import { checkResult, ratioOf, row } from './result.mjs';
import { summary } from './summary.mjs';

const ADAPTERS = { ring, 'ring-memory': ringMemory, train };

/** A part's result, whichever way its script prints it. Throws if it is none. */
export function adapt(printed) {
  return checkResult(
    printed.rows === undefined && printed.bench in ADAPTERS ? ADAPTERS[printed.bench](printed) : printed,
  );
}

/** GB/s of one side of a ring's point: median and best are told. */
function bandwidth({ medianGBps, bestGBps }, samples) {
  return { min: medianGBps, median: medianGBps, max: bestGBps, samples };
}

function sizeName(bytes) {
  const [unit, name] = bytes >= 1 << 20 ? [1 << 20, 'MiB'] : [1 << 10, 'KiB'];
  return `${Number((bytes / unit).toFixed(1))} ${name}`;
}

/** A point's peers: its key in what ring.mjs prints, its name in the table, and from which size on there is a goal, with which n. */
const RING_PEERS = [
  { key: 'gloo', name: 'Gloo', atLeast: 1, fromBytes: 1 << 20, members: [2, 4] },
  {
    key: 'tcpOneWay',
    name: 'one TCP connection of two Node processes',
    atLeast: 0.8,
    fromBytes: 1 << 20,
    members: [2],
  },
];

/** Our sides of a point: as members on one host talk, which the goals are about, and over TCP. */
const RING_SIDES = [
  { side: 'lockstep', title: 'ring', hasGoals: true },
  { side: 'lockstepTcp', title: 'ring over TCP', hasGoals: false },
];

function ring(printed) {
  return { ...printed, rows: RING_SIDES.flatMap((side) => ringRows(printed, side)) };
}

function ringRows(printed, { side, title, hasGoals }) {
  return printed.results.flatMap((point) => {
    const { n, bytes, samples } = point;
    const ours = bandwidth(point[side], samples);
    const against = RING_PEERS.filter(({ key }) => key in point).map(({ key, name, atLeast, fromBytes, members }) => {
      const version = key === 'gloo' ? `torch ${printed.peers?.torch ?? 'of unknown version'}` : printed.node;
      const peer = { name, version, ...bandwidth(point[key], samples) };
      const goal = hasGoals && bytes >= fromBytes && members.includes(n) ? { of: 'ratio', atLeast } : null;
      return { peer, ratio: ratioOf(ours, peer, 'max'), goal };
    });
    return (against.length === 0 ? [{}] : against).map((rest) =>
      row({ name: `${title}, n = ${n}, ${sizeName(bytes)}, bus bandwidth`, unit: 'GB/s', ours, ...rest }),
    );
  });
}

/** What a thousand steps may add to the heap: less than an object a step. KiB. */
const FLAT_KIB = 64;
/** Two beyond the gradient itself, which V8 counts or not as it is shared. */
const MOST_BUFFERS = 3;

function ringMemory(printed) {
  const { members, gradientBytes, from } = printed;
  const steady = members.map((samples) => samples.filter(({ step }) => step >= from));
  const grown = steady.map((samples) => (samples.at(-1).heapUsed - samples[0].heapUsed) / 1024);
  const to = members[0].at(-1).step;
  // Nothing was counted behind the last.
  const garbage = steady.flatMap((samples) => samples.slice(0, -1).map((sample) => sample.garbage / 1024));
  const most = members.map(
    (samples) => Math.max(...samples.flatMap(({ external, arrayBuffers }) => [external, arrayBuffers])) / gradientBytes,
  );
  return {
    ...printed,
    rows: [
      row({
        name: `heap's growth from step ${from} to step ${to}, largest of the members`,
        unit: 'KiB',
        ours: summary([Math.max(...grown)]),
        goal: { of: 'ours', atMost: FLAT_KIB },
      }),
      row({
        name: 'garbage of an all-reduce on the heap, for V8 to collect',
        unit: 'KiB',
        ours: summary(garbage),
      }),
      row({
        name: 'most memory outside the heap, with the gradient that is summed',
        unit: 'gradient buffers',
        ours: summary([Math.max(...most)]),
        goal: { of: 'ours', atMost: MOST_BUFFERS },
      }),
    ],
  };
}

/** Of a share, which lies in 0..1: what JSON made null of is not 0. */
function percent({ min, median, max, samples }) {
  for (const share of [min, median, max])
    if (typeof share !== 'number' || !(share >= 0 && share <= 1))
      throw new Error(`not a benchmark's result: a share of ${share} (${min} .. ${max})`);
  return { min: 100 * min, median: 100 * median, max: 100 * max, samples };
}

function train(printed) {
  const { lockstep, ddp, idleShare, ringHidden, large = [] } = printed;
  const ours = lockstep.imagesPerSecond;
  const peer =
    ddp === undefined || ddp === null
      ? null
      : {
          name: `PyTorch DDP (gloo), ${ddp.variant}, buckets of ${ddp.bucketMb} MB`,
          version: ddp.version,
          ...ddp.imagesPerSecond,
        };
  const rows = [
    row({
      name: 'whole job, 2 workers of one thread, global batch 32',
      unit: 'images/s',
      ours,
      peer,
      ratio: peer === null ? null : ratioOf(ours, peer, 'max'),
      goal: { of: 'ratio', atLeast: 1.1 },
    }),
  ];
  const idle = idleShare === undefined ? [] : [{ globalBatch: 32, idleShare }];
  for (const { globalBatch, idleShare: share } of [...idle, ...large])
    rows.push(
      row({
        name: `share of the time in which the compute thread is idle, global batch ${globalBatch}`,
        unit: '%',
        ours: percent(share),
        goal: { of: 'ours', atMost: 3 },
      }),
    );
  if (ringHidden !== undefined)
    rows.push(
      row({
        name: "share of the ring's time in which the same worker computes a gradient, global batch 32",
        unit: '%',
        ours: percent(ringHidden),
      }),
    );
  return { ...printed, rows };
}
