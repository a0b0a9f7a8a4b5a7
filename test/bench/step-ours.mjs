// Our side of step.mjs: one training step for every line on standard input.
//
//   node test/bench/step-ours.mjs THREADS MICROBATCH IMAGES        in engineEnvironment()
import { engineDirectory, loadEngine } from '../../libs/engine/dist/index.js';
import {
  initialTrainingState,
  loadMnist,
  parameterCount,
  parameterTable,
  presetOf,
  recipeOf,
} from '../../libs/diffusion/dist/index.js';
import { maxExponents } from '../../libs/comm/dist/index.js';
import { allocateArena, copyState, openArena } from '../../apps/worker/dist/arena.js';
import { passesFor } from '../../apps/worker/dist/native-passes.js';
import { Trainer } from '../../apps/worker/dist/trainer.js';
import { serve } from './served.mjs';

const [threads, microbatchSize, images] = process.argv.slice(2).map(Number);
const directory = engineDirectory('cpu', process.env);
const engine = loadEngine({ device: 'cpu', threads, directory });
/** More than are ever timed. */
const STEPS = 1000;
const settings = {
  preset: 'default',
  seed: 0,
  steps: STEPS,
  globalBatch: images,
  microbatchSize,
  learningRate: null,
  timesteps: null,
  checkpointEvery: STEPS,
  dataDigest: loadMnist('train').digest,
};
const arena = openArena(allocateArena(parameterCount(parameterTable(presetOf('default').model))));
copyState(initialTrainingState(recipeOf(settings), 0), arena.state);
const passes = passesFor(settings, directory);
const indices = Array.from({ length: images / microbatchSize }, (_, index) => index);

/** Milliseconds of each part of the step under way. */
let parts = {};
function timed(name, work) {
  const start = performance.now();
  const result = work();
  parts[name] = (parts[name] ?? 0) + performance.now() - start;
  return result;
}

// Keeping a gradient happens inside compute: it is taken off there.
const watched = {
  checksum: (numbers) => passes.checksum(numbers),
  marks: (of) => passes.marks(of),
  keep: (from, to) => timed('keep', () => passes.keep(from, to)),
  fold: (sum, gradients, exponents) => passes.fold(sum, gradients, exponents),
  update: (of, exponents, adamOf) => passes.update(of, exponents, adamOf),
};
const trainer = new Trainer(engine, settings, arena, { passes: watched });
let { digest, weights } = passes.marks(arena);
let step = 0;

/** What a generator returns at its end; nothing else is to be done between its pieces here. */
function outcomeOf(pieces) {
  for (;;) {
    const piece = pieces.next();
    if (piece.done === true) return piece.value;
  }
}

function oneStep() {
  parts = { gradients: 0, keep: 0, check: 0, fold: 0, update: 0 };
  const summands = indices.map((index) => timed('gradients', () => trainer.compute(step, index)));
  parts.gradients -= parts.keep;
  const exponents = summands.map((summand) => summand.exponents).reduce(maxExponents);
  const same = timed('check', () => passes.checksum(arena.state.weights)) === weights;
  const found = timed('fold', () => outcomeOf(passes.fold(arena.sum, summands, exponents)));
  const applied = timed('update', () => trainer.apply(step++, [...exponents], false));
  if (!same || applied.found !== digest || found.some((mark, index) => mark !== summands[index].checksum))
    throw new Error('memory changed while nobody wrote to it; check this machine');
  ({ digest, weights } = applied.left);
  return { ms: Object.values(parts).reduce((sum, part) => sum + part, 0), parts };
}

await serve({ engine: engine.identity }, oneStep);
