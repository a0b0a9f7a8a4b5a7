// Images a second of the sampler: 64 images of the network of width 32 with fresh weights, DDIM 50 and DDPM 1000, one process, against
// the same samplers around the same network in PyTorch (no_grad, the best of eager, channels_last and torch.compile), in turns.
//
//   node test/bench/sample.mjs [--quick] [--threads 1] [--rounds N] [--variants eager,channels_last,compile]
//
// All steps of a sampler cost the same, so DDPM 1000 is timed on its first DDPM_VISITED steps and scaled: `scaled` in the details.
// Ours has 32 images in one call of the network, as `lockstep sample` does; PyTorch has all 64, which suits it. With one thread both
// sides are pinned to one core.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { engineEnvironment } from '../../libs/engine/dist/index.js';
import { bestOf, peersOf, takeTurns } from './contest.mjs';
import { undisturbed } from './disturbed.mjs';
import { print, row } from './result.mjs';
import { Served } from './served.mjs';
import { summary } from './summary.mjs';

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
/** The quick form visits a part of DDIM's steps too. */
const SAMPLERS = [
  { name: 'DDIM 50', kind: 'ddim', total: 50, visited: values.quick ? 10 : 50 },
  { name: 'DDPM 1000', kind: 'ddpm', total: 1000, visited: values.quick ? 10 : DDPM_VISITED },
];

async function measure() {
  const ours = new Served({
    name: 'ours',
    command: process.execPath,
    args: [fileURLToPath(new URL('sample-ours.mjs', import.meta.url)), ...[IMAGES, threads, BATCH].map(String)],
    threads,
    env: { ...process.env, ...engineEnvironment({ device: 'cpu', threads }) },
  });
  const processes = [
    ours,
    ...peersOf('sample_torch.py', { variants: values.variants.split(','), images: IMAGES, threads }),
  ];
  try {
    const hello = {};
    for (const one of processes) hello[one.name] = await one.next();
    // The first calls of the network compile and allocate.
    await takeTurns(processes, { rounds: 1, warmUp: 0, task: 'ddim 2 50' });

    const rows = [];
    const details = [];
    for (const { name, kind, total, visited } of SAMPLERS) {
      const answers = await takeTurns(processes, { rounds, warmUp: 0, task: `${kind} ${visited} ${total}` });
      const best = bestOf(answers, hello);
      const scale = total / visited;
      const rate = (ms) => (IMAGES * 1000) / (ms * scale);
      const mine = answers.ours.map(({ ms }) => rate(ms));
      const theirs = best?.ms.map(rate);
      rows.push(
        row({
          name: `sampling ${IMAGES} images, ${name}, ${threads === 1 ? 'one core' : `${threads} threads`}`,
          unit: 'images/s',
          ours: summary(mine),
          peer: best === null ? null : { ...best.peer, ...summary(theirs) },
          ratio: best === null ? null : summary(mine.map((own, round) => own / theirs[round])),
          goal: { of: 'ratio', atLeast: 1 },
        }),
      );
      details.push({
        sampler: name,
        visited,
        scaled: scale,
        msAStep: Object.fromEntries(
          Object.entries(answers).map(([side, list]) => [side, summary(list.map(({ ms }) => ms / visited))]),
        ),
      });
    }
    for (const one of processes) await one.close();
    return { bench: 'sample', rows, threads, engine: hello.ours.engine, samplers: details };
  } finally {
    for (const one of processes) one.kill();
  }
}

print(await undisturbed(measure));
