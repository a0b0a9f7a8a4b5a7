// Throughput with one worker slowed four times (it shares its core with three busy processes), against the sum of what both do
// alone: the quick one alone, the slow one alone, both together, in turns. Prints one JSON object. Needs two cores and taskset.
//
//   node test/bench/straggler.mjs [--rounds N] [--steps N] [--microbatch N]
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { summary } from './summary.mjs';

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
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const steps = Number(values.steps);

/** Runs once with these workers; returns images a second after the learning steps, the digest, and who was named. */
async function run(workers) {
  const out = mkdtempSync(join(tmpdir(), 'lockstep-straggler-'));
  const children = [];
  const start = (command, args) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  };
  try {
    if (workers.includes('slow'))
      for (let index = 0; index < BUSY; index++) start('taskset', ['-c', '1', process.execPath, '-e', 'for (;;) {}']);
    const coordinator = start(process.execPath, [
      path('../../apps/coordinator/dist/main.js'),
      ...['--out', out, '--port', '0', '--steps', String(steps), '--microbatch-size', values.microbatch],
      ...[
        '--global-batch',
        String(GLOBAL_BATCH),
        '--min-workers',
        String(workers.length),
        '--checkpoint-every',
        '1000',
      ],
    ]);
    const commits = [];
    const named = new Set();
    let digest = null;
    for await (const line of createInterface({ input: coordinator.stdout })) {
      const port = /listening on [\d.]+:(\d+)/.exec(line)?.[1];
      if (port !== undefined)
        for (const worker of workers)
          start('taskset', [
            ...['-c', worker === 'slow' ? '1' : '0', process.execPath, path('../../apps/worker/dist/main.js')],
            ...['--name', worker, '--coordinator', `ws://127.0.0.1:${port}`],
          ]).stdout.resume();
      if (line.includes('note=committed')) {
        commits.push(performance.now());
        digest = /digest=([0-9a-f]{64})/.exec(line)?.[1] ?? digest;
      }
      const straggler = /note=straggler worker=(\S+) reason="([^"]*)"/.exec(line);
      if (straggler !== null) named.add(`${straggler[1]}: ${straggler[2]}`);
    }
    const measured = commits.slice(LEARNING);
    const seconds = (measured.at(-1) - measured[0]) / 1000;
    return { imagesPerSecond: ((measured.length - 1) * GLOBAL_BATCH) / seconds, digest, named: [...named] };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(out, { recursive: true, force: true });
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
console.log(
  JSON.stringify(
    {
      unit: 'images a second',
      microbatches: GLOBAL_BATCH / Number(values.microbatch),
      quick: summary(rates.quick),
      slow: summary(rates.slow),
      both: summary(rates.both),
      shareOfSum: summary(shares),
      digestsEqual: digests.size === 1,
      named: [...named],
    },
    null,
    2,
  ),
);
