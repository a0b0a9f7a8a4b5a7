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
import { fromFixedPoint, maxExponents, tensorExponents } from '../../libs/comm/dist/index.js';
import { Trainer } from '../../apps/worker/dist/trainer.js';
import { allocateArena, copyState, openArena } from '../../apps/worker/dist/arena.js';
import { checksumOf, stateChecksums } from '../../apps/worker/dist/checksum.js';
import { sumGradients } from '../../apps/worker/dist/exact-sum.js';
import { serve } from './served.mjs';

const [threads, microbatchSize, images] = process.argv.slice(2).map(Number);
const engine = loadEngine({ device: 'cpu', threads, directory: engineDirectory('cpu', process.env) });
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
const trainer = new Trainer(engine, settings, arena);
const indices = Array.from({ length: images / microbatchSize }, (_, index) => index);
const { table } = trainer;
const mean = new Float32Array(arena.sum.length);
let step = 0;

function oneStep() {
  const parts = {};
  const timed = (name, work) => {
    const start = performance.now();
    const result = work();
    parts[name] = (parts[name] ?? 0) + performance.now() - start;
    return result;
  };
  const gradients = indices.map((index) => timed('gradients', () => trainer.compute(step, index).values));
  const own = gradients.map((gradient) => timed('exponents', () => tensorExponents(gradient, table)));
  for (let look = 0; look < 2; look++)
    for (const gradient of gradients) timed('gradientChecksums', () => checksumOf(gradient));
  const exponents = own.reduce(maxExponents);
  const summands = gradients.map((values, index) => ({ values, exponents: own[index] }));
  timed('stateChecksums', () => checksumOf(arena.state.weights));
  timed('sum', () => sumGradients(arena.sum, summands, table, exponents, indices.length));
  timed('stateChecksums', () => stateChecksums(arena.state));
  // The update does this too: here it is measured alone, and taken off below.
  timed('toFloat', () => fromFixedPoint(arena.sum, mean, table, exponents, indices.length, 1 / indices.length));
  timed('update', () => trainer.apply(step++, [...exponents], false));
  parts.update -= parts.toFloat;
  timed('stateChecksums', () => stateChecksums(arena.state));
  return { ms: Object.values(parts).reduce((sum, part) => sum + part, 0), parts };
}

await serve({ engine: engine.identity }, oneStep);
