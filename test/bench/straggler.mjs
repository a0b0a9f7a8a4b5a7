// Throughput with one worker slowed four times (it shares its core with three busy processes), against the sum of what both do
// alone: the quick one alone, the slow one alone, both together, in turns. Prints one JSON object. Needs two cores and taskset.
//
//   node test/bench/straggler.mjs [--rounds N] [--steps N] [--microbatch N]
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { undisturbed } from './disturbed.mjs';
import { print } from './result.mjs';
import { summary } from './summary.mjs';
import { onCore, stepSeconds, trainingRun } from './training-run.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '26' },
    microbatch: { type: 'string', default: '1' },
  },
});
const BUSY = 3;
/** Steps at the beginning in which speeds are being learnt. */
const LEARNING = 8;
const GLOBAL_BATCH = 16;
const steps = Number(values.steps);
const places = { quick: { name: 'quick', ...onCore(0) }, slow: { name: 'slow', ...onCore(1) } };

/** Runs once with these workers; returns images a second after the learning steps, the digest, and who was named. */
async function run(workers) {
  const busy = workers.includes('slow')
    ? Array.from({ length: BUSY }, () => spawn('taskset', ['-c', '1', process.execPath, '-e', 'for (;;) {}']))
    : [];
  try {
    const job = {
      steps,
      microbatches: GLOBAL_BATCH / Number(values.microbatch),
      microbatchSize: Number(values.microbatch),
      workers: workers.map((name) => places[name]),
    };
    const result = await undisturbed(() => trainingRun(job));
    const measured = stepSeconds(result, LEARNING - 1);
    const seconds = measured.reduce((sum, one) => sum + one, 0);
    const { digest, named } = result;
    return { imagesPerSecond: (measured.length * GLOBAL_BATCH) / seconds, digest, named };
  } finally {
    for (const child of busy) child.kill('SIGKILL');
  }
}

const rates = { quick: [], slow: [], both: [] };
const shares = [];
const digests = new Set();
const named = new Set();
for (let round = 0; round < Number(values.rounds); round++) {
  const quick = await run(['quick']);
  const slow = await run(['slow']);
  const both = await run(['quick', 'slow']);
  for (const [name, result] of Object.entries({ quick, slow, both })) {
    rates[name].push(result.imagesPerSecond);
    digests.add(result.digest);
    for (const text of result.named) named.add(text);
  }
  process.stderr.write(`${JSON.stringify({ quick, slow, both })}\n`);
  shares.push(both.imagesPerSecond / (quick.imagesPerSecond + slow.imagesPerSecond));
}
print({
  unit: 'images a second',
  microbatches: GLOBAL_BATCH / Number(values.microbatch),
  quick: summary(rates.quick),
  slow: summary(rates.slow),
  both: summary(rates.both),
  shareOfSum: summary(shares),
  digestsEqual: digests.size === 1,
  named: [...named],
});
