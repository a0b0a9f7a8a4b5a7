// Loss curves of one training run summed in several ways. Same seed, batches, noise and optimiser. Prints one JSON object; with
// --svg also draws the curves.
//
//   node test/bench/exactness.mjs [--steps N] [--svg FILE] [--runs NAME,NAME]
//
// exact: integers, as Lockstep does. float32: in microbatch order; float32Reversed: in reverse, as another ring order would add.
// exactInt16: as with int16 on the wire, an exponent a tensor. The rest is what else half the bytes could be, exact and free of order
// too. int16: an exponent a block of 256 numbers; int16Stochastic: blocks, rounded up or down by chance, keyed by step, microbatch
// and place.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { engineDirectory, engineEnvironment, loadEngine } from '@lockstep/engine';
import {
  adamStep,
  globalNorm,
  initialTrainingState,
  loadMnist,
  parameterCount,
  parameterTable,
  philox4x32,
  recipeOf,
  updateAt,
} from '@lockstep/diffusion';
import { Trainer } from '../../apps/worker/dist/compute/trainer.js';
import { allocateArena, copyState, openArena } from '../../apps/worker/dist/compute/arena.js';
import { agreedExponents, summandOf, sumFormOf, sumGradients } from '../../apps/worker/dist/compute/exact-sum.js';
import { NETWORK } from './network.mjs';
import { print } from './result.mjs';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '500' },
    svg: { type: 'string' },
    runs: { type: 'string', default: 'exact,float32,float32Reversed' },
  },
});
const steps = Number(values.steps);

Object.assign(process.env, engineEnvironment({ device: 'cpu', threads: 1 }));
const engine = loadEngine({ device: 'cpu', threads: 1, directory: engineDirectory('cpu', process.env) });
const recipe = recipeOf({ ...NETWORK, steps, globalBatch: 32, microbatchSize: 8 });
const settingsOf = (wire) => ({
  data: 'mnist',
  seed: 0,
  recipe,
  wire,
  checkpointEvery: steps,
  dataDigest: loadMnist('train').digest,
});
const microbatches = recipe.globalBatch / recipe.microbatchSize;
const inOrder = Array.from({ length: microbatches }, (_, index) => index);

/** Trains once; `update(trainer, arena, step, gradients)` turns the gradients into the next state. Returns mean losses. */
function train({ update, wire = 'int32' }) {
  const settings = settingsOf(wire);
  const arena = openArena(allocateArena(parameterCount(parameterTable(recipe.model))));
  copyState(initialTrainingState(recipe, settings.seed), arena.state);
  const trainer = new Trainer(engine, settings, arena);
  const losses = [];
  for (let step = 0; step < steps; step++) {
    const gradients = inOrder.map((index) => trainer.compute(step, index));
    losses.push(gradients.reduce((sum, { loss }) => sum + loss, 0) / microbatches);
    update(
      trainer,
      arena,
      step,
      gradients.map(({ values: gradient }) => gradient),
    );
    if (step % 50 === 0) process.stderr.write(`step ${step} loss ${losses.at(-1).toFixed(4)}\n`);
  }
  return { losses, weights: Float32Array.from(arena.state.weights) };
}

const exact = (wire) => ({
  wire,
  update: (trainer, arena, step, gradients) => {
    const { table } = trainer;
    const form = sumFormOf({ wire }, recipe);
    const summands = gradients.map((gradient) => summandOf(gradient, table, form));
    const exponents = agreedExponents(summands, table);
    sumGradients(arena.sum, summands, table, exponents, form);
    trainer.apply(step, exponents, false);
  },
});

/** Updates with a mean that was made otherwise. */
function updateWith(trainer, arena, step, mean) {
  adamStep(arena.state, mean, updateAt(recipe, step, globalNorm(mean)));
  // Lets go of the gradients; the sum is not used.
  trainer.apply(step, [], true);
}

/** What a float32 all-reduce does: one rounding an addition, in the order given. */
const float32 = (order) => ({
  update: (trainer, arena, step, gradients) => {
    const mean = new Float32Array(gradients[0].length);
    for (const index of order) for (let at = 0; at < mean.length; at++) mean[at] += gradients[index][at];
    for (let at = 0; at < mean.length; at++) mean[at] /= microbatches;
    updateWith(trainer, arena, step, mean);
  },
});

/** Numbers that share an exponent: two bytes of it are 0.4 % of the block's own. */
const BLOCK = 256;
const halves = { places: 0, numbers: 0, zeros: 0 };

/** The table cut into spans of at most BLOCK numbers, so that whatever works by tensors works by blocks. */
const blocksOf = (table) =>
  table.flatMap(({ name, offset, size }) =>
    Array.from({ length: Math.ceil(size / BLOCK) }, (_, block) => ({
      name: `${name}[${block}]`,
      offset: offset + block * BLOCK,
      size: Math.min(BLOCK, size - block * BLOCK),
    })),
  );

/** The mean of the gradients, each rounded to int16, so that no sum of them leaves int16. */
const int16 = (chance) => ({
  update: (trainer, arena, step, gradients) => {
    const spans = blocksOf(trainer.table);
    const exponents = agreedExponents(
      gradients.map((gradient) => summandOf(gradient, spans, sumFormOf({ wire: 'int32' }, recipe))),
      spans,
    );
    const carry = Math.ceil(Math.log2(microbatches));
    const most = 2 ** (15 - carry) - 1;
    const mean = new Float32Array(gradients[0].length);
    const sum = new Int16Array(mean.length);
    const words = new Uint32Array(4);
    halves.places = spans.length;
    gradients.forEach((gradient, microbatch) =>
      spans.forEach(({ offset, size }, span) => {
        // A block of zeros has an exponent far below all others.
        const unit = 2 ** Math.max(exponents[span] - 15 + carry, -200);
        for (let at = offset; at < offset + size; at++) {
          const exactly = gradient[at] / unit;
          if (chance && (at & 3) === 0) philox4x32(words, at >>> 2, microbatch, step, 0, 16, 0);
          const rounded = chance ? Math.floor(exactly + words[at & 3] / 2 ** 32) : roundHalfEven(exactly);
          // Only what lies within half a unit of the block's exponent is cut off: one unit of error in place of a half.
          const kept = Math.max(-most, Math.min(most, rounded));
          sum[at] += kept;
          halves.numbers++;
          if (kept === 0 && gradient[at] !== 0) halves.zeros++;
        }
      }),
    );
    spans.forEach(({ offset, size }, span) => {
      const factor = 2 ** Math.max(exponents[span] - 15 + carry, -200) / microbatches;
      for (let at = offset; at < offset + size; at++) mean[at] = sum[at] * factor;
    });
    updateWith(trainer, arena, step, mean);
  },
});

/** Adding and subtracting it rounds to an integer, ties to even. */
const TO_INTEGER = 1.5 * 2 ** 52;
const roundHalfEven = (x) => x + TO_INTEGER - TO_INTEGER;

const WAYS = {
  exact: exact('int32'),
  exactInt16: exact('int16'),
  float32: float32(inOrder),
  float32Reversed: float32([...inOrder].reverse()),
  int16: int16(false),
  int16Stochastic: int16(true),
};
const names = values.runs.split(',');
const runs = Object.fromEntries(names.map((name) => [name, train(WAYS[name])]));

/** Mean of the last tenth of a curve. */
const tail = (losses) => {
  const last = losses.slice(-Math.max(1, Math.round(steps / 10)));
  return last.reduce((sum, loss) => sum + loss, 0) / last.length;
};
const apart = (a, b) => Math.max(...a.losses.map((loss, step) => Math.abs(loss - b.losses[step])));
const firstApart = (a, b) => a.losses.findIndex((loss, step) => loss !== b.losses[step]);
const distance = (a, b) => {
  let square = 0;
  let norm = 0;
  for (let at = 0; at < a.weights.length; at++) {
    square += (a.weights[at] - b.weights[at]) ** 2;
    norm += a.weights[at] ** 2;
  }
  return Math.sqrt(square / norm);
};
const pairs = names.flatMap((a, at) => names.slice(at + 1).map((b) => [a, b]));
const result = {
  steps,
  lastTenthMeanLoss: Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, tail(run.losses)])),
  pairs: pairs.map(([a, b]) => ({
    of: `${a} and ${b}`,
    largestLossDifference: apart(runs[a], runs[b]),
    firstStepThatDiffers: firstApart(runs[a], runs[b]),
    relativeWeightDistance: distance(runs[a], runs[b]),
  })),
  int16Blocks: halves,
  losses: Object.fromEntries(Object.entries(runs).map(([name, run]) => [name, run.losses])),
};
print(result);

if (values.svg !== undefined) writeFileSync(values.svg, drawing());

/** Losses averaged over ten steps, on a logarithmic axis. */
function drawing() {
  const [width, height, left, bottom] = [640, 360, 60, 40];
  const smooth = (losses) =>
    Array.from({ length: Math.floor(steps / 10) }, (_, block) => {
      const part = losses.slice(10 * block, 10 * block + 10);
      return part.reduce((sum, loss) => sum + loss, 0) / part.length;
    });
  const curves = Object.entries(runs).map(([name, run]) => [name, smooth(run.losses)]);
  const all = curves.flatMap(([, curve]) => curve);
  const [low, high] = [Math.log10(Math.min(...all)), Math.log10(Math.max(...all))];
  const x = (block) => left + ((block * 10 + 5) / steps) * (width - left - 20);
  const y = (loss) => 20 + ((high - Math.log10(loss)) / (high - low)) * (height - 20 - bottom);
  const styles = {
    exact: 'stroke="#1f6feb" stroke-width="5" stroke-opacity="0.35"',
    float32: 'stroke="#d1242f" stroke-width="1.5"',
    float32Reversed: 'stroke="#1a7f37" stroke-width="1.5" stroke-dasharray="6 4"',
    exactInt16: 'stroke="#9a6700" stroke-width="1.5"',
    int16: 'stroke="#8250df" stroke-width="1.5" stroke-dasharray="2 3"',
    int16Stochastic: 'stroke="#1a7f37" stroke-width="1.5" stroke-dasharray="8 3"',
  };
  const titles = {
    exact: 'int32, an exponent a tensor',
    float32: 'float32, in order',
    float32Reversed: 'float32, in reverse',
    exactInt16: 'int16, an exponent a tensor',
    int16: 'int16, an exponent a block',
    int16Stochastic: 'int16, blocks, stochastic',
  };
  const lines = curves.map(
    ([name, curve]) =>
      `<polyline fill="none" ${styles[name]} points="${curve.map((loss, block) => `${x(block).toFixed(1)},${y(loss).toFixed(1)}`).join(' ')}"/>`,
  );
  const legend = curves.map(
    ([name], row) =>
      `<line x1="400" x2="440" y1="${40 + 22 * row}" y2="${40 + 22 * row}" ${styles[name]}/><text x="450" y="${44 + 22 * row}">${titles[name]}</text>`,
  );
  const ticks = [1, 0.5, 0.2, 0.1, 0.05, 0.02]
    .filter((loss) => Math.log10(loss) >= low && Math.log10(loss) <= high)
    .map(
      (loss) =>
        `<line x1="${left}" x2="${width - 20}" y1="${y(loss)}" y2="${y(loss)}" stroke="#ddd"/><text x="${left - 8}" y="${y(loss) + 4}" text-anchor="end">${loss}</text>`,
    );
  const marks = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<text x="${left + share * (width - left - 20)}" y="${height - 18}" text-anchor="middle">${Math.round(share * steps)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="white"/>
${[...ticks, ...marks, ...lines, ...legend].join('\n')}
<text x="${left + (width - left) / 2}" y="${height - 2}" text-anchor="middle">step</text>
<text x="14" y="${height / 2}" transform="rotate(-90 14 ${height / 2})" text-anchor="middle">loss, mean of ten steps</text>
</svg>
`;
}
