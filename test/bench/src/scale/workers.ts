// Efficiency from one worker to two on this machine: one core each, loopback, 32 images a step in microbatches of
// 8. One and two in turns. Needs two cores; exit status 2 where there is one.
//
//   node test/bench/dist/scale/workers.js [--quick]
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { undisturbed } from '../result/disturbed.js';
import { print, row } from '../result/result.js';
import { summary } from '../result/summary.js';
import { onCore, stepSeconds, trainingRun } from '../train/training-run.js';

const MICROBATCHES = 4;
const MICROBATCH = 8;
const LEARNING = 5;

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
if (cpus().length < 2) {
  console.error('scale-workers: this machine has one core; two workers would share it');
  process.exit(2);
}
const rounds = values.quick ? 1 : 3;
const steps = LEARNING + 1 + (values.quick ? 6 : 12);
const digests = new Set<string>();

/** Images a second of so many workers. */
async function rateOf(workers: number): Promise<number> {
  const places = Array.from({ length: workers }, (_, core) => ({ name: `worker-${core}`, ...onCore(core) }));
  const job = { steps, microbatches: MICROBATCHES, microbatchSize: MICROBATCH, workers: places };
  const run = await undisturbed(() => trainingRun(job));
  digests.add(run.digest);
  return (MICROBATCHES * MICROBATCH) / summary(stepSeconds(run, LEARNING)).median;
}

const rates: { one: number; two: number }[] = [];
for (let round = 0; round < rounds; round++) rates.push({ one: await rateOf(1), two: await rateOf(2) });
if (digests.size > 1) throw new Error(`one and two workers came to different weights: ${[...digests].join(', ')}`);
print({
  bench: 'scale-workers',
  rows: [
    row({
      name: 'efficiency from 1 to 2 workers, one core each, loopback, 32 images a step',
      unit: '%',
      ours: summary(rates.map(({ one, two }) => (100 * two) / (2 * one))),
    }),
  ],
  imagesPerSecond: { one: summary(rates.map(({ one }) => one)), two: summary(rates.map(({ two }) => two)) },
  digestsEqual: true,
});
