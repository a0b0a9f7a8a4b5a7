// Milliseconds of one training step of 32 images of the network of width 32: ours against PyTorch's best of eager, channels_last and
// torch.compile, with one thread and with two. All take turns: a round is one step of each.
//
//   node test/bench/step.mjs [--quick] [--threads 1,2] [--rounds N] [--microbatch N] [--variants eager,channels_last,compile]
//
// Ours: what a worker does for a step alone: gradients, exponents, their exact sum, Adam and EMA, and all checksums, one after
// another (step-ours.mjs). PyTorch: forward, backward, Adam. With one thread both sides are pinned to one core; with two neither is.
//
// parts_ms, of our step: gradients (with their inputs); describe (exponents and checksum of each); fold (checks of weights and
// gradients, sum to integers); update (check of the state, mean, norm, Adam, EMA, digest). besides_gradients: the last three; in ms and
// as a share of the step.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { engineEnvironment } from '../../libs/engine/dist/index.js';
import { bestOf, inTurns, peersOf } from './contest.mjs';
import { undisturbed } from './disturbed.mjs';
import { print, row } from './result.mjs';
import { Served } from './served.mjs';
import { summary } from './summary.mjs';

const IMAGES = 32;
const WARM_UP = 3;
/** By threads: our time over that of PyTorch's best. */
const GOALS = { 1: 0.85, 2: 0.9 };

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

async function measure(threads) {
  const ours = new Served({
    name: 'ours',
    command: process.execPath,
    args: [
      fileURLToPath(new URL('step-ours.mjs', import.meta.url)),
      String(threads),
      values.microbatch,
      String(IMAGES),
    ],
    threads,
    env: { ...process.env, ...engineEnvironment({ device: 'cpu', threads }) },
  });
  const peers = peersOf('step_torch.py', { variants: values.variants.split(','), images: IMAGES, threads });
  const { hello, answers } = await inTurns([ours, ...peers], { rounds, warmUp: WARM_UP });
  const best = bestOf(answers, hello);
  const mine = answers.ours;
  const ms = (list) => list.map((answer) => answer.ms);
  const partOf = (answer, names) => names.reduce((sum, name) => sum + answer.parts[name], 0);
  const share = (...names) => ({
    ms: summary(mine.map((answer) => partOf(answer, names))),
    share: summary(mine.map((answer) => partOf(answer, names) / answer.ms)),
  });
  return {
    row: row({
      name: `training step, ${IMAGES} images, ${threads === 1 ? 'one core' : `${threads} threads`}`,
      unit: 'ms',
      ours: summary(ms(mine)),
      peer: best?.peer ?? null,
      ratio: best === null ? null : summary(mine.map(({ ms: own }, round) => own / best.ms[round])),
      goal: { of: 'ratio', atMost: GOALS[threads] ?? 1 },
    }),
    details: {
      threads,
      microbatchSize: Number(values.microbatch),
      engine: hello.ours.engine,
      parts_ms: Object.fromEntries(Object.keys(mine[0].parts).map((name) => [name, share(name).ms])),
      besides_gradients: share('describe', 'fold', 'update'),
      peers: Object.fromEntries(peers.map(({ name }) => [name, summary(ms(answers[name]))])),
    },
  };
}

const results = [];
for (const threads of values.threads.split(',').map(Number)) results.push(await undisturbed(() => measure(threads)));
print({ bench: 'step', rows: results.map((one) => one.row), contests: results.map((one) => one.details) });
