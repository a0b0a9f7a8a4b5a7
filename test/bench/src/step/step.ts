// Milliseconds of one training step of 32 images of the network of width 32: ours against PyTorch's best of eager, channels_last and
// torch.compile, with one thread and with two. All take turns: a round is one step of each.
//
//   node test/bench/dist/step/step.js [--quick] [--threads 1,2] [--rounds N] [--microbatch N] [--variants eager,channels_last,compile]
//
// Ours: what a worker does for a step alone: gradients, exponents, their exact sum, Adam and EMA, and all checksums, one after
// another (step-ours.ts). PyTorch: forward, backward, Adam. With one thread both sides are pinned to one core; with two neither is.
//
// parts_ms, of our step: gradients (with their inputs); describe (exponents and checksum of each); fold (checks of weights and
// gradients, sum to integers); update (check of the state, mean, norm, Adam, EMA, digest). besides_gradients: the last three; in ms and
// as a share of the step.
import { parseArgs } from 'node:util';
import { bestOf, OURS, ourSide, peersOf, saidBy, takeTurns, timesOf, withProcesses } from '../peers/contest.js';
import type { Answer } from '../peers/served.js';
import { undisturbed } from '../result/disturbed.js';
import { print, row, type Row } from '../result/result.js';
import { summary, type Figures } from '../result/summary.js';

const IMAGES = 32;
const WARM_UP = 3;

/** Our time over that of PyTorch's best. */
function goalOf(threads: number): number {
  if (threads === 1) return 0.85;
  return threads === 2 ? 0.9 : 1;
}

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    threads: { type: 'string', default: '1,2' },
    rounds: { type: 'string' },
    microbatch: { type: 'string', default: '8' },
    variants: { type: 'string', default: 'eager,channels_last,compile' },
  },
});
const rounds = Number(values.rounds ?? (values.quick ? 5 : 21));

/** Of some parts of our step: milliseconds, and of the whole. */
function partsOf(answers: readonly Answer[], names: readonly string[]): { ms: Figures; share: Figures } {
  const ms = answers.map(({ parts }) => names.reduce((sum, name) => sum + (parts?.[name] ?? NaN), 0));
  return { ms: summary(ms), share: summary(ms.map((part, round) => part / answers[round].ms)) };
}

async function measure(threads: number): Promise<{ row: Row; details: object }> {
  const ours = ourSide('step/step-ours.js', [threads, values.microbatch, IMAGES], threads);
  const peers = peersOf('step_torch.py', { variants: values.variants.split(','), images: IMAGES, threads });
  const processes = [ours, ...peers];
  return withProcesses(processes, async (hellos) => {
    const answers = await takeTurns(processes, { rounds, warmUp: WARM_UP });
    const best = bestOf(answers, hellos);
    const mine = saidBy(answers, OURS);
    return {
      row: row({
        name: `training step, ${IMAGES} images, ${threads === 1 ? 'one core' : `${threads} threads`}`,
        unit: 'ms',
        ours: summary(timesOf(mine)),
        peer: best?.peer ?? null,
        ratio: best === null ? null : summary(mine.map(({ ms }, round) => ms / best.ms[round])),
        goal: { of: 'ratio', atMost: goalOf(threads) },
      }),
      details: {
        threads,
        microbatchSize: Number(values.microbatch),
        engine: saidBy(hellos, OURS).engine,
        parts_ms: Object.fromEntries(Object.keys(mine[0].parts ?? {}).map((name) => [name, partsOf(mine, [name]).ms])),
        besides_gradients: partsOf(mine, ['describe', 'fold', 'update']),
        peers: Object.fromEntries(peers.map(({ name }) => [name, summary(timesOf(saidBy(answers, name)))])),
      },
    };
  });
}

const results: { row: Row; details: object }[] = [];
for (const threads of values.threads.split(',').map(Number)) results.push(await undisturbed(() => measure(threads)));
print({ bench: 'step', rows: results.map((one) => one.row), contests: results.map((one) => one.details) });
