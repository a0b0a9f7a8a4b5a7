/**
 * How much of the ring's time computation hides, from commit times alone. It is seen where the ring is long: in one run of two
 * workers the links are slowed down and freed again, in turns, while it goes on.
 *
 *   hidden = 1 - (by how much the step got longer) / (by how much the ring did), of medians over pairs of blocks that follow each other
 */
import { mean, summary, type Figures } from '../result/summary.js';
import { stepSeconds, trainingRun, type Trained } from '../train/training-run.js';
import type { Cluster } from './namespaces.js';

/** An all-reduce of the benchmarks' network takes a quarter of a second then: much more than a step varies by itself. */
const SLOW_RATE = '100mbit';
const LEARNING = 4;
const BLOCK_STEPS = 4;
const MICROBATCHES_EACH = 2;
const MICROBATCH = 8;

/** Seconds of a step and of its ring. */
interface Block {
  readonly step: number;
  readonly ring: number;
}

export interface Overlap {
  readonly rate: string;
  /** Medians. */
  readonly seconds: { readonly slow: Block; readonly free: Block };
  readonly byPair: Figures;
  readonly hidden: number;
}

interface OverlapOptions {
  /** Of a core, for each worker. */
  readonly share: number;
  /** An even number: how often the rate changes. */
  readonly blocks: number;
}

/** Leaves the cluster with free links. */
export async function measureOverlap(cluster: Cluster, { share, blocks }: OverlapOptions): Promise<Overlap> {
  const isSlow = (block: number): boolean => block % 2 === 0;
  cluster.share(null);
  let commits = 0;
  const run = await trainingRun({
    steps: LEARNING + 1 + blocks * BLOCK_STEPS,
    microbatches: 2 * MICROBATCHES_EACH,
    microbatchSize: MICROBATCH,
    workers: cluster.members.slice(0, 2),
    coordinator: cluster.hub,
    onFirstCommit: () => cluster.share(share),
    onCommit: () => {
      const done = ++commits - LEARNING - 1;
      if (done >= 0 && done % BLOCK_STEPS === 0) cluster.limit(isSlow(done / BLOCK_STEPS) ? SLOW_RATE : null);
    },
  });
  cluster.limit(null);
  const blockOf = blocksOf(run);
  const pairs = Array.from({ length: blocks / 2 }, (_, pair) => {
    const [slow, free] = [blockOf(2 * pair), blockOf(2 * pair + 1)];
    return { slow, free, hidden: 1 - (slow.step - free.step) / (slow.ring - free.ring) };
  });
  const medianOf = (side: 'slow' | 'free', what: keyof Block): number =>
    summary(pairs.map((pair) => pair[side][what])).median;
  const longer = (what: keyof Block): number => summary(pairs.map(({ slow, free }) => slow[what] - free[what])).median;
  return {
    rate: SLOW_RATE,
    seconds: {
      slow: { step: medianOf('slow', 'step'), ring: medianOf('slow', 'ring') },
      free: { step: medianOf('free', 'step'), ring: medianOf('free', 'ring') },
    },
    byPair: summary(pairs.map(({ hidden }) => hidden)),
    hidden: Math.min(1, Math.max(0, 1 - longer('step') / longer('ring'))),
  };
}

/** Mean step and ring of a block, s. The step in which the rate changes belongs to no block. */
function blocksOf(run: Trained): (block: number) => Block {
  const steps = stepSeconds(run, LEARNING);
  const rings = run.commits.slice(LEARNING + 1).map(({ ringSeconds }) => ringSeconds);
  return (block) => {
    const [from, to] = [block * BLOCK_STEPS + 1, (block + 1) * BLOCK_STEPS];
    return { step: mean(steps.slice(from, to)), ring: mean(rings.slice(from, to)) };
  };
}
