// Images a second of a whole job: `lockstep up` with two workers of one thread each against PyTorch's DistributedDataParallel over
// Gloo with two processes of one thread each. Same network, same global batch, in turns in the same minutes.
//
//   node test/bench/train.mjs [--python PATH] [--rounds N] [--steps N] [--variants LIST] [--bucket-mb LIST] [--quick]
//
// Ours is a run as users start it (checkpoints, ledger, checks of memory), with --trace, from which its figures are taken. The
// warm-up's steps are left out on both sides. Prints one JSON object:
//   lockstep   imagesPerSecond and stepMs over the rounds; idleShare of the compute threads; ms of a step by thread and span
//   ddp        the best variant's imagesPerSecond and stepMs, which variant and buckets, PyTorch's version; all of them in `variants`
//   ratio      of the medians of imagesPerSecond
//   ringHidden share of the ring's time in which the same worker computes a gradient
//   large      idleShare with global batches of 256 and 512, where what follows the last gradient is a smaller part of a step
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { assertEndedWell, assertNobodyLost, undisturbed } from './disturbed.mjs';
import { print } from './result.mjs';
import { summary } from './summary.mjs';
import { NETWORK_FLAGS } from './network.mjs';
import { readTimeline, WARM_UP_STEPS } from './timeline.mjs';

const GLOBAL_BATCH = 32;
const LARGE_BATCHES = [256, 512];
const WORKERS = 2;
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: process.env.LOCKSTEP_BENCH_PYTHON },
    rounds: { type: 'string' },
    steps: { type: 'string' },
    variants: { type: 'string' },
    // PyTorch's default, which holds the whole network, and one that the gradients fill three times.
    'bucket-mb': { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 2 : 3));
const steps = Number(values.steps ?? (values.quick ? 40 : 60));
const largeSteps = values.quick ? 10 : 15;
const variants = (values.variants ?? (values.quick ? 'eager' : 'eager,channels_last')).split(',');
const buckets = (values['bucket-mb'] ?? (values.quick ? '25' : '25,1')).split(',').map(Number);

/** Runs a command to its end; resolves to what it printed. */
async function run(command, args, env = process.env) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  const ended = await new Promise((resolve, reject) =>
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal })),
  );
  assertEndedWell(`${command} ${args.join(' ')}`, ended, text.slice(-2000));
  return text;
}

async function lockstep(globalBatch, stepsToDo) {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-train-'));
  try {
    const trace = join(folder, 'trace.json');
    await run(process.execPath, [
      path('../../apps/cli/bin/lockstep.mjs'),
      ...[
        'up',
        ...NETWORK_FLAGS,
        '--workers',
        String(WORKERS),
        '--min-workers',
        String(WORKERS),
        '--steps',
        String(stepsToDo),
      ],
      ...['--global-batch', String(globalBatch), '--out', join(folder, 'run'), '--port', '0', '--trace', trace],
    ]);
    assertNobodyLost(readFileSync(join(folder, 'run', 'logs', 'coordinator.log'), 'utf8'));
    return readTimeline(trace);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function ddp({ variant, bucketMb }) {
  // OPENBLAS_CORETYPE, where it is set for old numpy builds, would slow PyTorch down.
  const env = { ...process.env };
  delete env.OPENBLAS_CORETYPE;
  const args = [variant, steps, GLOBAL_BATCH, WORKERS, bucketMb].map(String);
  const text = await run(values.python, [path('./peers/ddp_torch.py'), ...args], env);
  return JSON.parse(text.trim().split('\n').at(-1));
}

const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
/** Mean over the compute threads. */
const idleShareOf = (timeline) =>
  mean(Object.values(timeline).flatMap(({ idleShare }) => (idleShare === undefined ? [] : [idleShare])));
const large = new Map(LARGE_BATCHES.map((globalBatch) => [globalBatch, []]));
const ours = { imagesPerSecond: [], stepMs: [], idleShare: [], ringHidden: [] };
const peers = variants.flatMap((variant) =>
  buckets.map((bucketMb) => ({ variant, bucketMb, imagesPerSecond: [], stepMs: [], version: null })),
);
let threads = {};
for (let round = 0; round < rounds; round++) {
  threads = await undisturbed(() => lockstep(GLOBAL_BATCH, steps));
  const compute = Object.entries(threads).flatMap(([name, thread]) => (name.endsWith('/compute') ? [thread] : []));
  const [{ stepMs }] = compute;
  ours.stepMs.push(stepMs);
  ours.imagesPerSecond.push((GLOBAL_BATCH * 1000) / stepMs);
  ours.idleShare.push(idleShareOf(threads));
  ours.ringHidden.push(
    mean(Object.values(threads).flatMap(({ ringHidden }) => (typeof ringHidden === 'number' ? [ringHidden] : []))),
  );
  for (const [globalBatch, shares] of large) {
    shares.push(idleShareOf(await undisturbed(() => lockstep(globalBatch, largeSteps))));
    process.stderr.write(`idle with ${globalBatch} images a step ${(100 * shares.at(-1)).toFixed(1)} %\n`);
  }
  process.stderr.write(`lockstep ${stepMs} ms a step, idle ${(100 * ours.idleShare.at(-1)).toFixed(1)} %\n`);
  if (values.python === undefined) continue;
  for (const peer of peers) {
    const { seconds, version } = await undisturbed(() => ddp(peer));
    const ms = 1000 * mean(seconds.slice(WARM_UP_STEPS));
    peer.version = version;
    peer.stepMs.push(ms);
    peer.imagesPerSecond.push((GLOBAL_BATCH * 1000) / ms);
    process.stderr.write(`ddp ${peer.variant}, buckets of ${peer.bucketMb} MB, ${ms.toFixed(1)} ms a step\n`);
  }
}

const result = {
  bench: 'train',
  workers: WORKERS,
  globalBatch: GLOBAL_BATCH,
  steps: steps - WARM_UP_STEPS,
  lockstep: {
    imagesPerSecond: summary(ours.imagesPerSecond),
    stepMs: summary(ours.stepMs),
    /** Of the last round. */
    threads: Object.fromEntries(Object.entries(threads).map(([name, { ms }]) => [name, ms])),
  },
  idleShare: summary(ours.idleShare),
  ringHidden: summary(ours.ringHidden),
  large: [...large].map(([globalBatch, shares]) => ({
    globalBatch,
    steps: largeSteps - WARM_UP_STEPS,
    idleShare: summary(shares),
  })),
};
if (values.python !== undefined) {
  const measured = peers.map(({ variant, bucketMb, version, imagesPerSecond, stepMs }) => ({
    variant,
    version,
    bucketMb,
    imagesPerSecond: summary(imagesPerSecond),
    stepMs: summary(stepMs),
  }));
  const best = measured.reduce((a, b) => (b.imagesPerSecond.median > a.imagesPerSecond.median ? b : a));
  result.ddp = { ...best, variants: measured };
  result.ratio = result.lockstep.imagesPerSecond.median / best.imagesPerSecond.median;
}
print(result);
