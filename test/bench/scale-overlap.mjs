/**
 * How much of the ring's time computation hides, from commit times alone. It is seen where the ring is long: in one run of two
 * workers the links are slowed down and freed again, in turns, while it goes on.
 *
 *   hidden = 1 - (by how much the step got longer) / (by how much the ring did)
 */
import { summary } from './summary.mjs';
import { stepSeconds, trainingRun } from './training-run.mjs';

/** An all-reduce of the default network takes a quarter of a second then: much more than a step varies by itself. */
const SLOW_RATE = '100mbit';
const LEARNING = 4;
const BLOCK_STEPS = 4;
const MICROBATCHES_EACH = 2;
const MICROBATCH = 8;

/**
 * @param {ReturnType<import('./namespaces.mjs').openCluster>} cluster left with free links
 * @param {{share: number, blocks: number}} options of a core for each worker; how often the rate changes
 */
export async function measureOverlap(cluster, { share, blocks }) {
  const isSlow = (block) => block % 2 === 0;
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
  const sides = { slow: { step: [], ring: [] }, free: { step: [], ring: [] } };
  const steps = stepSeconds(run, LEARNING);
  run.commits.slice(LEARNING + 1).forEach(({ ringSeconds }, index) => {
    // The step in which the rate changes belongs to neither.
    if (index % BLOCK_STEPS === 0) return;
    const side = isSlow(Math.floor(index / BLOCK_STEPS)) ? sides.slow : sides.free;
    side.step.push(steps[index]);
    side.ring.push(ringSeconds);
  });
  const longer = (what) => summary(sides.slow[what]).median - summary(sides.free[what]).median;
  const figures = (side) => ({ step: summary(side.step), ring: summary(side.ring) });
  return {
    rate: SLOW_RATE,
    slow: figures(sides.slow),
    free: figures(sides.free),
    hidden: Math.min(1, Math.max(0, 1 - longer('step') / longer('ring'))),
  };
}
