// 1 to 4 workers, each in a network namespace behind a link of 1 Gbit/s and with the same share of a core, and the model of it
// (model.ts), fitted to some of the points and held against the others. Needs root, ip and tc; exit status 2 where they are
// not to be had.
//
//   node test/bench/dist/scale/network.js [--quick] [--rate 1gbit] [--wire int16]
//
// --wire int16: the points of several workers are measured with int16 on the wire as well, in turns with those of int32; the model
// is fitted to int32 alone, and says what half the bytes should give.
// Two cores cannot compute for four workers. So each worker is given, by a cgroup, the same share of a core whatever their number
// is: a fifth less than a quarter of the machine (the rest is the coordinator's and the kernel's). Efficiency is then relative to the
// cores that the workers have. Members that are not in a run compute too (load.ts). The limit is put on after the first
// commit: engines load at full speed.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { print, row, type Row } from '../result/result.js';
import { summary, type Figures } from '../result/summary.js';
import { coordinatorCost } from './coordinator-cost.js';
import { allReduceSeconds, fit, stepOf, type Constants, type Size } from './model.js';
import { openCluster, whyNot } from './namespaces.js';
import type { Overlap } from './overlap.js';
import {
  measureAll,
  MEMBERS,
  MICROBATCH,
  nameOf,
  secondsOf,
  type Found,
  type MeasuredPoint,
  type PointName,
} from './points.js';

/** The first three give the model its constants, the others test it. 4 microbatches in all are a step as usual. */
const FITTED: readonly Size[] = [
  { n: 1, m: 1 },
  { n: 1, m: 4 },
  { n: 2, m: 1 },
];
const HELD_OUT: readonly Size[] = [
  { n: 2, m: 2 },
  { n: 3, m: 1 },
  { n: 4, m: 1 },
];
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
const share = Math.min(1, (0.8 * availableParallelism()) / MEMBERS);

/** Those of several workers with int16 as well, where that was asked for. */
function pointsToMeasure(): PointName[] {
  return [...FITTED, ...HELD_OUT].flatMap(({ n, m }): PointName[] => {
    const point = { n, m, wire: 'int32' } as const;
    return values.wire === 'int16' && n > 1 ? [point, { ...point, wire: 'int16' }] : [point];
  });
}

/** Standard deviation, from the median distance to the median: one hiccup of the machine does not count. */
function spread(samples: readonly number[]): number {
  const { median } = summary(samples);
  return 1.4826 * summary(samples.map((sample) => Math.abs(sample - median))).median;
}

/** The point of that size with int32 on the wire. */
function pointOf({ points }: Found, n: number, m: number): MeasuredPoint | undefined {
  return points.find((one) => one.n === n && one.m === m && one.wire === 'int32');
}

function measuredPoint(found: Found, n: number, m: number): MeasuredPoint {
  const point = pointOf(found, n, m);
  if (point === undefined) throw new Error(`${n} workers with ${m} microbatches each were not measured`);
  return point;
}

function constantsOf(found: Found): Constants {
  const one = measuredPoint(found, 1, 1);
  return fit({
    one: secondsOf(one),
    four: secondsOf(measuredPoint(found, 1, 4)),
    two: secondsOf(measuredPoint(found, 2, 1)),
    noise: spread(one.step),
    ring: found.ring,
    hidden: found.overlap.hidden,
    perWorker: coordinatorCost(MANY).totalMs.median / 1000 / MANY,
  });
}

/** A point beside what the model says of it. */
interface Compared {
  readonly name: string;
  readonly workers: number;
  readonly microbatchesEach: number;
  readonly wire: PointName['wire'];
  readonly use: 'fitted' | 'held out';
  readonly seconds: number;
  readonly stepSeconds: Figures;
  readonly predictedSeconds: number;
  readonly errorPercent: number;
  readonly ringSeconds: Figures;
  readonly efficiency: number;
}

/** Seconds of a step of one worker with as much to do: measured where it was, else as the model has it. */
function aloneWith(m: number, found: Found, constants: Constants): number {
  const point = pointOf(found, 1, m);
  return point === undefined ? stepOf({ n: 1, m }, constants).seconds : secondsOf(point);
}

function compared(point: MeasuredPoint, found: Found, constants: Constants): Compared {
  const { n, m, wire } = point;
  const bytes = wire === 'int16' ? constants.bytes / 2 : constants.bytes;
  const predicted = stepOf({ n, m }, { ...constants, bytes });
  const seconds = secondsOf(point);
  return {
    name: nameOf(point),
    workers: n,
    microbatchesEach: m,
    wire,
    use: FITTED.some((size) => size.n === n && size.m === m) ? 'fitted' : 'held out',
    seconds,
    stepSeconds: summary(point.step),
    predictedSeconds: predicted.seconds,
    errorPercent: (100 * (predicted.seconds - seconds)) / seconds,
    ringSeconds: summary(point.ring),
    efficiency: aloneWith(m, found, constants) / seconds,
  };
}

function efficiencyRow({ n, m, wire, step }: MeasuredPoint, alone: number): Row {
  return row({
    name: `efficiency, ${n} workers, ${values.rate} links, ${m * MICROBATCH} images each${wire === 'int32' ? '' : `, ${wire} on the wire`}`,
    unit: '%',
    ours: summary(step.map((seconds) => (100 * alone) / seconds)),
  });
}

/** By pairs, which vary; what counts is the ratio of the medians. */
const percentOf = ({ hidden, byPair }: Overlap): Figures => ({
  min: 100 * Math.min(hidden, byPair.min),
  median: 100 * hidden,
  max: 100 * Math.max(hidden, byPair.max),
  samples: byPair.samples,
});
const percent = (value: number): string => `${value >= 0 ? '+' : ''}${value.toFixed(1)} %`;
const milliseconds = (seconds: number): string => (1000 * seconds).toFixed(0);
const comparison = (one: Compared): string =>
  `${one.workers} x ${one.microbatchesEach} ${milliseconds(one.predictedSeconds)} / ${milliseconds(one.seconds)} ms (${one.use}, ${percent(one.errorPercent)})`;

function report(found: Found): void {
  const { unlimited, ring, ringOfFour, points, overlap } = found;
  const constants = constantsOf(found);
  const all = points.map((point) => compared(point, found, constants));
  const table = all.filter(({ wire }) => wire === 'int32');
  const narrow = all.flatMap((one) => {
    const whole = table.find(
      ({ workers, microbatchesEach }) => workers === one.workers && microbatchesEach === one.microbatchesEach,
    );
    return one.wire === 'int32' || whole === undefined ? [] : [{ ...one, ofInt32: one.seconds / whole.seconds }];
  });
  const errors = table.filter(({ use }) => use === 'held out').map(({ errorPercent }) => Math.abs(errorPercent));
  print({
    bench: 'scale-network',
    rows: [
      ...points.filter(({ n }) => n > 1).map((point) => efficiencyRow(point, aloneWith(point.m, found, constants))),
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
      `Predicted against measured step: ${table.map(comparison).join('; ')}.`,
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
}

async function main(): Promise<number> {
  const problem = whyNot();
  if (problem !== null) {
    console.error(`scale-network: ${problem}`);
    return 2;
  }
  const cluster = openCluster({ members: MEMBERS });
  // After the processes of the run (training-run.ts) have been killed, in the order in which these were registered.
  process.on('exit', () => cluster.close());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  report(await measureAll(cluster, { rate: values.rate, share, points: pointsToMeasure(), quick: values.quick }));
  return 0;
}

process.exitCode = await main();
