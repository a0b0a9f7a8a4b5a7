// Images a second of the sampler: 64 images of the network of width 32 with fresh weights, DDIM 50 and DDPM 1000, one process, against
// the same samplers around the same network in PyTorch (no_grad, the best of eager, channels_last and torch.compile), in turns.
//
//   node test/bench/dist/sample/sample.js [--quick] [--threads 1] [--rounds N] [--variants eager,channels_last,compile]
//
// All steps of a sampler cost the same, so DDPM 1000 is timed on its first DDPM_VISITED steps and scaled: `scaled` in the details.
// Ours has 32 images in one call of the network, as `lockstep sample` does; PyTorch has all 64, which suits it. With one thread both
// sides are pinned to one core.
import { parseArgs } from 'node:util';
import {
  bestOf,
  OURS,
  ourSide,
  peersOf,
  saidBy,
  takeTurns,
  timesOf,
  withProcesses,
  type Hellos,
} from '../peers/contest.js';
import type { Served } from '../peers/served.js';
import { undisturbed } from '../result/disturbed.js';
import { print, row, type Row } from '../result/result.js';
import { summary } from '../result/summary.js';

const IMAGES = 64;
const BATCH = 32;
const DDPM_VISITED = 20;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string' },
    variants: { type: 'string', default: 'eager,channels_last,compile' },
  },
});
const threads = Number(values.threads);
const rounds = Number(values.rounds ?? 3);

interface TimedSampler {
  readonly name: string;
  readonly kind: string;
  readonly total: number;
  /** Steps that are timed. */
  readonly visited: number;
}

/** The quick form visits a part of DDIM's steps too. */
const SAMPLERS: readonly TimedSampler[] = [
  { name: 'DDIM 50', kind: 'ddim', total: 50, visited: values.quick ? 10 : 50 },
  { name: 'DDPM 1000', kind: 'ddpm', total: 1000, visited: values.quick ? 10 : DDPM_VISITED },
];

async function contest(
  processes: readonly Served[],
  hellos: Hellos,
  { name, kind, total, visited }: TimedSampler,
): Promise<{ row: Row; details: object }> {
  const answers = await takeTurns(processes, { rounds, warmUp: 0, task: `${kind} ${visited} ${total}` });
  const best = bestOf(answers, hellos);
  const scale = total / visited;
  const rate = (ms: number): number => (IMAGES * 1000) / (ms * scale);
  const mine = timesOf(saidBy(answers, OURS)).map(rate);
  const theirs = best === null ? null : { ...best, rates: best.ms.map(rate) };
  return {
    row: row({
      name: `sampling ${IMAGES} images, ${name}, ${threads === 1 ? 'one core' : `${threads} threads`}`,
      unit: 'images/s',
      ours: summary(mine),
      peer: theirs === null ? null : { ...theirs.peer, ...summary(theirs.rates) },
      ratio: theirs === null ? null : summary(mine.map((own, round) => own / theirs.rates[round])),
      goal: { of: 'ratio', atLeast: 1 },
    }),
    details: {
      sampler: name,
      visited,
      scaled: scale,
      msAStep: Object.fromEntries(
        [...answers].map(([side, list]) => [side, summary(timesOf(list).map((ms) => ms / visited))]),
      ),
    },
  };
}

async function measure(): Promise<object> {
  const ours = ourSide('sample/sample-ours.js', [IMAGES, threads, BATCH], threads);
  const peers = peersOf('sample_torch.py', { variants: values.variants.split(','), images: IMAGES, threads });
  const processes = [ours, ...peers];
  return withProcesses(processes, async (hellos) => {
    // The first calls of the network compile and allocate.
    await takeTurns(processes, { rounds: 1, warmUp: 0, task: 'ddim 2 50' });
    const results: { row: Row; details: object }[] = [];
    for (const sampler of SAMPLERS) results.push(await contest(processes, hellos, sampler));
    return {
      bench: 'sample',
      rows: results.map((one) => one.row),
      threads,
      engine: saidBy(hellos, OURS).engine,
      samplers: results.map((one) => one.details),
    };
  });
}

print(await undisturbed(measure));
