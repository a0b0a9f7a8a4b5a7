// Throughput with one worker slowed four times (it shares its core with three busy processes), against the sum of what both do
// alone: the quick one alone, the slow one alone, both together, in turns. Prints one JSON object. Needs two cores and taskset.
//
//   node test/bench/dist/train/straggler.js [--rounds N] [--steps N] [--microbatch N]
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { undisturbed } from '../result/disturbed.js';
import { print } from '../result/result.js';
import { summary } from '../result/summary.js';
import { onCore, stepSeconds, trainingRun, type WorkerPlace } from './training-run.js';

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
const microbatchSize = Number(values.microbatch);
const QUICK: WorkerPlace = { name: 'quick', ...onCore(0) };
const SLOW: WorkerPlace = { name: 'slow', ...onCore(1) };

interface Ran {
  /** After the learning steps. */
  readonly imagesPerSecond: number;
  readonly digest: string;
  /** Who was named a straggler. */
  readonly named: readonly string[];
}

async function run(...workers: WorkerPlace[]): Promise<Ran> {
  const busy = workers.includes(SLOW)
    ? Array.from({ length: BUSY }, () => spawn('taskset', ['-c', '1', process.execPath, '-e', 'for (;;) {}']))
    : [];
  try {
    const job = { steps, microbatches: GLOBAL_BATCH / microbatchSize, microbatchSize, workers };
    const result = await undisturbed(() => trainingRun(job));
    const measured = stepSeconds(result, LEARNING - 1);
    const seconds = measured.reduce((sum, one) => sum + one, 0);
    const { digest, named } = result;
    return { imagesPerSecond: (measured.length * GLOBAL_BATCH) / seconds, digest, named };
  } finally {
    for (const child of busy) child.kill('SIGKILL');
  }
}

const rounds: { readonly quick: Ran; readonly slow: Ran; readonly both: Ran }[] = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const result = { quick: await run(QUICK), slow: await run(SLOW), both: await run(QUICK, SLOW) };
  process.stderr.write(`${JSON.stringify(result)}\n`);
  rounds.push(result);
}
const all = rounds.flatMap(({ quick, slow, both }) => [quick, slow, both]);
const rates = (list: readonly Ran[]): number[] => list.map(({ imagesPerSecond }) => imagesPerSecond);
print({
  unit: 'images a second',
  microbatches: GLOBAL_BATCH / microbatchSize,
  quick: summary(rates(rounds.map(({ quick }) => quick))),
  slow: summary(rates(rounds.map(({ slow }) => slow))),
  both: summary(rates(rounds.map(({ both }) => both))),
  shareOfSum: summary(
    rounds.map(({ quick, slow, both }) => both.imagesPerSecond / (quick.imagesPerSecond + slow.imagesPerSecond)),
  ),
  digestsEqual: new Set(all.map(({ digest }) => digest)).size === 1,
  named: [...new Set(all.flatMap(({ named }) => named))],
});
