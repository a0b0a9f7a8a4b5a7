// Images a second of a whole job: `lockstep up` with two workers of one thread each against PyTorch's DistributedDataParallel over
// Gloo with two processes of one thread each. Same network, same global batch, in turns in the same minutes.
//
//   node test/bench/dist/train/train.js [--python PATH] [--rounds N] [--steps N] [--variants LIST] [--bucket-mb LIST] [--quick]
//
// Ours is a run as users start it (checkpoints, ledger, checks of memory), with --trace, from which its figures are taken. The
// warm-up's steps are left out on both sides. Details:
//   lockstep   imagesPerSecond and stepMs over the rounds; idleShare of the compute threads; ms of a step by thread and span
//   ddp        the best variant's imagesPerSecond and stepMs, which variant and buckets, PyTorch's version; all of them in `variants`
//   ratio      of the medians of imagesPerSecond
//   ringHidden share of the ring's time in which the same worker computes a gradient
//   large      idleShare with global batches of 256 and 512, where what follows the last gradient is a smaller part of a step
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { NETWORK_FLAGS } from '../peers/compared-network.js';
import { peerEnvironment, peerPython } from '../peers/peers.js';
import { CLI, peerScript } from '../places.js';
import { assertEndedWell, assertNobodyLost, undisturbed, type Ended } from '../result/disturbed.js';
import { print } from '../result/result.js';
import { mean, summary } from '../result/summary.js';
import { readTimeline, WARM_UP_STEPS, type Timeline } from './timeline.js';
import { trainRows } from './train-rows.js';

const GLOBAL_BATCH = 32;
const LARGE_BATCHES = [256, 512];
const WORKERS = 2;

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    rounds: { type: 'string' },
    steps: { type: 'string' },
    variants: { type: 'string' },
    // PyTorch's default, which holds the whole network, and one that the gradients fill three times.
    'bucket-mb': { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const python = values.python ?? peerPython();
const rounds = Number(values.rounds ?? (values.quick ? 2 : 3));
const steps = Number(values.steps ?? (values.quick ? 40 : 60));
const largeSteps = values.quick ? 10 : 15;
const variants = (values.variants ?? (values.quick ? 'eager' : 'eager,channels_last')).split(',');
const buckets = (values['bucket-mb'] ?? (values.quick ? '25' : '25,1')).split(',').map(Number);

/** Runs a command to its end; resolves to what it printed. */
async function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const ended = await new Promise<Ended>((resolve, reject) =>
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal })),
  );
  assertEndedWell(`${command} ${args.join(' ')}`, ended, text.slice(-2000));
  return text;
}

async function lockstep(globalBatch: number, stepsToDo: number): Promise<Timeline> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-train-'));
  try {
    const trace = join(folder, 'trace.json');
    await run(process.execPath, [
      ...[CLI, 'up', ...NETWORK_FLAGS],
      ...['--workers', String(WORKERS), '--min-workers', String(WORKERS), '--steps', String(stepsToDo)],
      ...['--global-batch', String(globalBatch), '--out', join(folder, 'run'), '--port', '0', '--trace', trace],
    ]);
    assertNobodyLost(readFileSync(join(folder, 'run', 'logs', 'coordinator.log'), 'utf8'));
    return readTimeline(trace);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What ddp_torch.py prints last. */
const ddpSchema = z.object({ version: z.string(), seconds: z.array(z.number()) });

async function ddp(command: string, variant: string, bucketMb: number): Promise<z.infer<typeof ddpSchema>> {
  const args = [variant, steps, GLOBAL_BATCH, WORKERS, bucketMb].map(String);
  const text = await run(command, [peerScript('ddp_torch.py'), ...args], peerEnvironment());
  return ddpSchema.parse(JSON.parse(text.trim().split('\n').at(-1) ?? ''));
}

/** Mean over the compute threads. */
const idleShareOf = (timeline: Timeline): number =>
  mean([...timeline.values()].flatMap(({ idleShare }) => (idleShare === undefined ? [] : [idleShare])));
/** Mean over the workers that had a ring. */
const ringHiddenOf = (timeline: Timeline): number =>
  mean([...timeline.values()].flatMap(({ ringHidden }) => (typeof ringHidden === 'number' ? [ringHidden] : [])));
const rateOf = (stepMs: number): number => (GLOBAL_BATCH * 1000) / stepMs;

/** Samples of one of PyTorch's variants. */
interface PeerSamples {
  readonly variant: string;
  readonly bucketMb: number;
  readonly imagesPerSecond: number[];
  readonly stepMs: number[];
  version: string;
}

const large = LARGE_BATCHES.map((globalBatch) => ({ globalBatch, shares: new Array<number>() }));
const ours = {
  imagesPerSecond: new Array<number>(),
  stepMs: new Array<number>(),
  idleShare: new Array<number>(),
  ringHidden: new Array<number>(),
};
const peers = variants.flatMap((variant) =>
  buckets.map((bucketMb): PeerSamples => ({ variant, bucketMb, imagesPerSecond: [], stepMs: [], version: '' })),
);

async function ourRound(): Promise<Timeline> {
  const timeline = await undisturbed(() => lockstep(GLOBAL_BATCH, steps));
  const compute = [...timeline].find(([name]) => name.endsWith('/compute'));
  const stepMs = compute?.[1].stepMs ?? NaN;
  const idle = idleShareOf(timeline);
  ours.stepMs.push(stepMs);
  ours.imagesPerSecond.push(rateOf(stepMs));
  ours.idleShare.push(idle);
  ours.ringHidden.push(ringHiddenOf(timeline));
  for (const { globalBatch, shares } of large) {
    const share = idleShareOf(await undisturbed(() => lockstep(globalBatch, largeSteps)));
    shares.push(share);
    process.stderr.write(`idle with ${globalBatch} images a step ${(100 * share).toFixed(1)} %\n`);
  }
  process.stderr.write(`lockstep ${stepMs} ms a step, idle ${(100 * idle).toFixed(1)} %\n`);
  return timeline;
}

async function peerRound(command: string): Promise<void> {
  for (const peer of peers) {
    const { seconds, version } = await undisturbed(() => ddp(command, peer.variant, peer.bucketMb));
    const ms = 1000 * mean(seconds.slice(WARM_UP_STEPS));
    peer.version = version;
    peer.stepMs.push(ms);
    peer.imagesPerSecond.push(rateOf(ms));
    process.stderr.write(`ddp ${peer.variant}, buckets of ${peer.bucketMb} MB, ${ms.toFixed(1)} ms a step\n`);
  }
}

let threads: Timeline = new Map();
for (let round = 0; round < rounds; round++) {
  threads = await ourRound();
  if (python !== undefined) await peerRound(python);
}

const imagesPerSecond = summary(ours.imagesPerSecond);
const idleShare = summary(ours.idleShare);
const ringHidden = summary(ours.ringHidden);
const idleOfLarge = large.map(({ globalBatch, shares }) => ({
  globalBatch,
  steps: largeSteps - WARM_UP_STEPS,
  idleShare: summary(shares),
}));
const measured =
  python === undefined
    ? []
    : peers.map(({ variant, bucketMb, version, imagesPerSecond: rates, stepMs }) => ({
        variant,
        version,
        bucketMb,
        imagesPerSecond: summary(rates),
        stepMs: summary(stepMs),
      }));
const [best = null] = measured.toSorted((a, b) => b.imagesPerSecond.median - a.imagesPerSecond.median);
print({
  bench: 'train',
  rows: trainRows({
    imagesPerSecond,
    ddp: best,
    idle: [{ globalBatch: GLOBAL_BATCH, idleShare }, ...idleOfLarge],
    ringHidden,
  }),
  workers: WORKERS,
  globalBatch: GLOBAL_BATCH,
  steps: steps - WARM_UP_STEPS,
  lockstep: {
    imagesPerSecond,
    stepMs: summary(ours.stepMs),
    /** Of the last round. */
    threads: Object.fromEntries([...threads].map(([name, { ms }]) => [name, ms])),
  },
  idleShare,
  ringHidden,
  large: idleOfLarge,
  ...(best === null
    ? {}
    : { ddp: { ...best, variants: measured }, ratio: imagesPerSecond.median / best.imagesPerSecond.median }),
});
