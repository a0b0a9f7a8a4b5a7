/** Training steps in a cluster, of several sizes, and what the ring alone takes there. */
import type { RunSettings } from '@lockstep/comm';
import { undisturbed } from '../result/disturbed.js';
import { mean, summary, type Figures } from '../result/summary.js';
import { stepSeconds, trainingRun } from '../train/training-run.js';
import { openLoad, type Load } from './load.js';
import type { RingConstants, Size } from './model.js';
import type { Cluster } from './namespaces.js';
import { measureOverlap, type Overlap } from './overlap.js';
import { ringTimes } from './ring-times.js';

/** Parameters of the network of the benchmarks. */
const PARAMETERS = 764_929;
export const MICROBATCH = 8;
export const MEMBERS = 4;
/** Steps in which speeds are learnt. */
const LEARNING = 4;

/** Workers, microbatches of each, and what is on the wire. */
export interface PointName extends Size {
  readonly wire: RunSettings['wire'];
}

/** "2x1": two workers, one microbatch each; "2x1/int16": the same with int16 on the wire. */
export const nameOf = ({ n, m, wire }: PointName): string => `${n}x${m}${wire === 'int32' ? '' : `/${wire}`}`;

/** Seconds of a step and of its ring, of all passes. */
export interface MeasuredPoint extends PointName {
  readonly step: readonly number[];
  readonly ring: readonly number[];
  /** Of each pass. */
  readonly medians: readonly number[];
}

/** The mean of all passes' medians: the median of all samples would be one pass's own where the machine drifts. */
export const secondsOf = ({ medians }: MeasuredPoint): number => mean(medians);

/** The ring's constants, and what they follow from: an all-reduce of one number, and of a gradient. */
export type RingFound = RingConstants & { readonly empty: Figures; readonly full: Figures };

export interface Plan {
  readonly rate: string;
  /** Of a core, for each worker. */
  readonly share: number;
  /** In this order. */
  readonly points: readonly PointName[];
  readonly quick: boolean;
}

export interface Found {
  /** With free links, and a core each. */
  readonly unlimited: RingFound;
  readonly ring: RingFound;
  readonly ringOfFour: Figures;
  readonly points: readonly MeasuredPoint[];
  readonly overlap: Overlap;
}

/** alpha and beta from two members. */
async function measureRing(
  cluster: Cluster,
  { cores, repeats }: { cores: number | null; repeats: number },
): Promise<RingFound> {
  cluster.share(cores);
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

/** One pass. */
async function measurePoint(
  cluster: Cluster,
  load: Load,
  point: PointName,
  { share, quick }: Plan,
): Promise<MeasuredPoint> {
  const { n, m, wire } = point;
  const timed = quick ? 6 : 9;
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
  const step = stepSeconds(run, LEARNING);
  const ring = run.commits.slice(LEARNING + 1).map((one) => one.ringSeconds);
  const { median } = summary(step);
  console.error(`${nameOf(point)}: ${median.toFixed(3)} s a step, ring ${(1000 * summary(ring).median).toFixed(1)} ms`);
  return { n, m, wire, step, ring, medians: [median] };
}

/** Measures all that the model needs and is held against. */
export async function measureAll(cluster: Cluster, plan: Plan): Promise<Found> {
  const { rate, share, quick } = plan;
  const repeats = quick ? 5 : 15;
  const unlimited = await measureRing(cluster, { cores: null, repeats });
  cluster.limit(rate);
  const ring = await measureRing(cluster, { cores: share, repeats });
  const [ringOfFour] = await undisturbed(() =>
    ringTimes({ places: cluster.members, elements: [PARAMETERS], repeats: 10 }),
  );
  const load = await openLoad(cluster.members);
  // Before the cluster is closed: a group with a process in it stays.
  process.prependListener('exit', load.kill);
  const points = new Map<string, MeasuredPoint>();
  // Forth and back, so that a machine that gets slower or quicker meanwhile does not favour a point.
  for (const point of quick ? plan.points : [...plan.points, ...plan.points.toReversed()]) {
    const one = await undisturbed(() => measurePoint(cluster, load, point, plan));
    const before = points.get(nameOf(point)) ?? { step: [], ring: [], medians: [] };
    points.set(nameOf(point), {
      ...one,
      step: [...before.step, ...one.step],
      ring: [...before.ring, ...one.ring],
      medians: [...before.medians, ...one.medians],
    });
  }
  await load.busyFrom(MEMBERS);
  const overlap = await undisturbed(() => measureOverlap(cluster, { share, blocks: quick ? 4 : 12 }));
  load.kill();
  return { unlimited, ring, ringOfFour: summary(ringOfFour), points: [...points.values()], overlap };
}
