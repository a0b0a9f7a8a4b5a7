// 1 to 4 workers, each in a network namespace behind a link of 1 Gbit/s and with the same share of a core, and the model of it
// (scale-model.mjs), fitted to some of the points and held against the others. Needs root, ip and tc; exit status 2 where they are
// not to be had.
//
//   node test/bench/scale-network.mjs [--quick] [--rate 1gbit] [--wire int16]
//
// --wire int16: the points of several workers are measured with int16 on the wire as well, in turns with those of int32; the model
// is fitted to int32 alone, and says what half the bytes should give.
// Two cores cannot compute for four workers. So each worker is given, by a cgroup, the same share of a core whatever their number
// is: a fifth less than a quarter of the machine (the rest is the coordinator's and the kernel's). Efficiency is then relative to the
// cores that the workers have. Members that are not in a run compute too (scale-load.mjs). The limit is put on after the first
// commit: engines load at full speed.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { openCluster, whyNot } from './namespaces.mjs';
import { undisturbed } from './disturbed.mjs';
import { print, row } from './result.mjs';
import { coordinatorCost } from './scale-coordinator.mjs';
import { openLoad } from './scale-load.mjs';
import { allReduceSeconds, fit, stepOf } from './scale-model.mjs';
import { measureOverlap } from './scale-overlap.mjs';
import { ringTimes } from './scale-ring.mjs';
import { summary } from './summary.mjs';
import { stepSeconds, trainingRun } from './training-run.mjs';

/** Parameters of the network of the benchmarks. */
const PARAMETERS = 764_929;
const MICROBATCH = 8;
const MEMBERS = 4;
/** Workers and microbatches of each. The first three give the model its constants, the others test it. 4 microbatches in all are a step as usual. */
const FITTED = ['1x1', '1x4', '2x1'];
const HELD_OUT = ['2x2', '3x1', '4x1'];
/** Steps in which speeds are learnt. */
const LEARNING = 4;
/** Of the model's largest error. */
const GOAL_PERCENT = 10;
/** Workers whose messages the coordinator's time per worker is taken from. */
const MANY = 512;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rate: { type: 'string', default: '1gbit' },
    wire: { type: 'string', default: 'int32' },
  },
});
const problem = whyNot();
if (problem !== null) {
  console.error(`scale-network: ${problem}`);
  process.exit(2);
}
const share = Math.min(1, (0.8 * availableParallelism()) / MEMBERS);
/** 2x1: two workers, one microbatch each; 2x1/int16: the same with int16 on the wire. */
const pointOf = (name) => {
  const [size, wire = 'int32'] = name.split('/');
  const [n, m] = size.split('x').map(Number);
  return { size, n, m, wire };
};
const alsoNarrow = (name) =>
  values.wire === 'int32' || pointOf(name).n === 1 ? [name] : [name, `${name}/${values.wire}`];

async function measurePoint({ cluster, load }, name) {
  const { n, m, wire } = pointOf(name);
  const timed = values.quick ? 6 : 9;
  await load.busyFrom(MEMBERS);
  cluster.share(null);
  const run = await trainingRun({
    steps: LEARNING + 1 + timed,
    microbatches: n * m,
    microbatchSize: MICROBATCH,
    wire,
    workers: cluster.members.slice(0, n),
    coordinator: cluster.hub,
    onFirstCommit: () => {
      cluster.share(share);
      void load.busyFrom(n);
    },
  });
  const point = {
    name,
    n,
    m,
    wire,
    step: stepSeconds(run, LEARNING),
    ring: run.commits.slice(LEARNING + 1).map((one) => one.ringSeconds),
  };
  console.error(
    `${name}: ${summary(point.step).median.toFixed(3)} s a step, ring ${(1000 * summary(point.ring).median).toFixed(1)} ms`,
  );
  return point;
}

/** alpha and beta from two members; then what three and four take, for comparison. */
async function measureRing(cluster, cores) {
  cluster.share(cores);
  const repeats = values.quick ? 5 : 15;
  const [empty, full] = await undisturbed(() =>
    ringTimes({ places: cluster.members.slice(0, 2), elements: [1, PARAMETERS], repeats }),
  );
  const alpha = summary(empty).median / 2;
  const bytes = PARAMETERS * 4;
  return {
    alpha,
    beta: Math.max(0, summary(full).median - 2 * alpha) / bytes,
    bytes,
    empty: summary(empty),
    full: summary(full),
  };
}

async function measureAll(cluster) {
  const unlimited = await measureRing(cluster, null);
  cluster.limit(values.rate);
  const ring = await measureRing(cluster, share);
  const ringOfFour = await undisturbed(() =>
    ringTimes({ places: cluster.members, elements: [PARAMETERS], repeats: 10 }),
  );
  const load = await openLoad(cluster.members);
  // Before the cluster is closed: a group with a process in it stays.
  process.prependListener('exit', load.kill);
  const points = new Map();
  // Forth and back, so that a machine that gets slower or quicker meanwhile does not favour a point.
  const names = [...FITTED, ...HELD_OUT].flatMap(alsoNarrow);
  for (const name of values.quick ? names : [...names, ...names.toReversed()]) {
    const { step, ring: rings, ...rest } = await undisturbed(() => measurePoint({ cluster, load }, name));
    const before = points.get(name) ?? { step: [], ring: [], medians: [] };
    points.set(name, {
      ...rest,
      step: [...before.step, ...step],
      ring: [...before.ring, ...rings],
      medians: [...before.medians, summary(step).median],
    });
  }
  await load.busyFrom(MEMBERS);
  const overlap = await undisturbed(() => measureOverlap(cluster, { share, blocks: values.quick ? 4 : 12 }));
  load.kill();
  return { unlimited, ring, ringOfFour: summary(ringOfFour[0]), points, overlap };
}

/** Standard deviation, from the median distance to the median: one hiccup of the machine does not count. */
function spread(samples) {
  const { median } = summary(samples);
  return 1.4826 * summary(samples.map((sample) => Math.abs(sample - median))).median;
}

const cluster = openCluster({ members: MEMBERS });
// After the processes of the run (training-run.mjs) have been killed, in the order in which these were registered.
process.on('exit', () => cluster.close());
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
const measured = await measureAll(cluster);
const { unlimited, ring, ringOfFour, points, overlap } = measured;
/** The mean of both passes' medians: the median of all samples would be one pass's own where the machine drifts. */
const secondsOf = (name) =>
  points.get(name).medians.reduce((sum, one) => sum + one, 0) / points.get(name).medians.length;
const constants = fit({
  one: secondsOf('1x1'),
  four: secondsOf('1x4'),
  two: secondsOf('2x1'),
  noise: spread(points.get('1x1').step),
  ring,
  hidden: overlap.hidden,
  perWorker: coordinatorCost(MANY) / 1000 / MANY,
});
/** One worker alone with as much to do: measured where it was, else as the model has it. */
const aloneWith = (m) => (points.has(`1x${m}`) ? secondsOf(`1x${m}`) : stepOf({ n: 1, m }, constants).seconds);
const measuredAt = ({ name, n, m, wire, step, ring: rings }) => {
  const bytes = wire === 'int16' ? ring.bytes / 2 : ring.bytes;
  const predicted = stepOf({ n, m }, { ...constants, bytes });
  const seconds = secondsOf(name);
  return {
    name,
    workers: n,
    microbatchesEach: m,
    wire,
    use: FITTED.includes(name) ? 'fitted' : 'held out',
    seconds,
    stepSeconds: summary(step),
    predictedSeconds: predicted.seconds,
    errorPercent: (100 * (predicted.seconds - seconds)) / seconds,
    ringSeconds: summary(rings),
    efficiency: aloneWith(m) / seconds,
  };
};
const all = [...points.values()].map(measuredAt);
const table = all.filter(({ wire }) => wire === 'int32');
const narrow = all
  .filter(({ wire }) => wire !== 'int32')
  .map((one) => ({ ...one, ofInt32: one.seconds / secondsOf(pointOf(one.name).size) }));
const rowsOf = all
  .filter(({ workers }) => workers > 1)
  .map(({ name, workers, microbatchesEach: m, wire }) => {
    const alone = aloneWith(m);
    return row({
      name: `efficiency, ${workers} workers, ${values.rate} links, ${m * MICROBATCH} images each${wire === 'int32' ? '' : `, ${wire} on the wire`}`,
      unit: '%',
      ours: summary(points.get(name).step.map((seconds) => (100 * alone) / seconds)),
    });
  });
const errors = table.filter(({ use }) => use === 'held out').map(({ errorPercent }) => Math.abs(errorPercent));
/** By pairs, which vary; what counts is the ratio of the medians. */
const percentOf = ({ hidden, byPair }) => ({
  min: 100 * Math.min(hidden, byPair.min),
  median: 100 * hidden,
  max: 100 * Math.max(hidden, byPair.max),
  samples: byPair.samples,
});
const percent = (value) => `${value >= 0 ? '+' : ''}${value.toFixed(1)} %`;
print({
  bench: 'scale-network',
  rows: [
    ...rowsOf,
    row({
      name: `share of the ring's time that computation hides, 2 workers, ${overlap.rate} links against free ones`,
      unit: '%',
      ours: percentOf(overlap),
    }),
    row({
      name: `model's largest error over ${errors.length} points that it was not fitted to`,
      unit: '%',
      ours: summary([Math.max(...errors)]),
      goal: { of: 'ours', atMost: GOAL_PERCENT },
    }),
  ],
  notes: [
    `${values.rate} in both directions by tc tbf, ${share} of a core for each worker by a cgroup, whatever their number, and all four computing; efficiency is a worker's step alone over its step among n, with the same images each.`,
    `Predicted against measured step: ${table.map((one) => `${one.workers} x ${one.microbatchesEach} ${(1000 * one.predictedSeconds).toFixed(0)} / ${(1000 * one.seconds).toFixed(0)} ms (${one.use}, ${percent(one.errorPercent)})`).join('; ')}.`,
  ],
  rate: values.rate,
  coreShare: share,
  microbatchSize: MICROBATCH,
  points: table,
  ...(narrow.length === 0 ? {} : { narrow }),
  constants,
  overlap,
  ring: {
    limited: ring,
    unlimited,
    four: { predictedSeconds: allReduceSeconds(MEMBERS, constants), seconds: ringOfFour },
  },
});
