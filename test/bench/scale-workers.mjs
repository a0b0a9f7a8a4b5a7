// Efficiency from one worker to two on this machine: one core each, loopback, 32 images a step in microbatches of
// 8. One and two in turns. Needs two cores; exit status 2 where there is one.
//
//   node test/bench/scale-workers.mjs [--quick]
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { undisturbed } from './disturbed.mjs';
import { print, row } from './result.mjs';
import { summary } from './summary.mjs';
import { onCore, stepSeconds, trainingRun } from './training-run.mjs';

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

async function rate(workers) {
  const places = Array.from({ length: workers }, (_, core) => ({ name: `worker-${core}`, ...onCore(core) }));
  const job = { steps, microbatches: MICROBATCHES, microbatchSize: MICROBATCH, workers: places };
  const run = await undisturbed(() => trainingRun(job));
  return { digest: run.digest, rate: (MICROBATCHES * MICROBATCH) / summary(stepSeconds(run, LEARNING)).median };
}

const rates = { one: [], two: [] };
const digests = new Set();
for (let round = 0; round < rounds; round++)
  for (const [name, workers] of [
    ['one', 1],
    ['two', 2],
  ]) {
    const result = await rate(workers);
    rates[name].push(result.rate);
    digests.add(result.digest);
  }
if (digests.size > 1) throw new Error(`one and two workers came to different weights: ${[...digests].join(', ')}`);
print({
  bench: 'scale-workers',
  rows: [
    row({
      name: 'efficiency from 1 to 2 workers, one core each, loopback, 32 images a step',
      unit: '%',
      ours: summary(rates.one.map((one, round) => (100 * rates.two[round]) / (2 * one))),
    }),
  ],
  imagesPerSecond: { one: summary(rates.one), two: summary(rates.two) },
  digestsEqual: true,
});
