// Our side of step.mjs: one training step for every line on standard input.
//
//   node test/bench/step-ours.mjs THREADS MICROBATCH IMAGES        in engineEnvironment()
import { engineDirectory, loadEngine } from '../../libs/engine/dist/index.js';
import {
  initialTrainingState,
  loadMnist,
  parameterCount,
  parameterTable,
  recipeOf,
} from '../../libs/diffusion/dist/index.js';
import { Trainer } from '../../apps/worker/dist/compute/trainer.js';
import { allocateArena, copyState, openArena } from '../../apps/worker/dist/compute/arena.js';
import { bucketsIn, bucketsOf } from '../../apps/worker/dist/compute/buckets.js';
import { agreedExponents } from '../../apps/worker/dist/compute/exact-sum.js';
import { passesFor } from '../../apps/worker/dist/compute/native-passes.js';
import { Reducer } from '../../apps/worker/dist/compute/reducer.js';
import { NETWORK } from './network.mjs';
import { serve } from './served.mjs';

const [threads, microbatchSize, images] = process.argv.slice(2).map(Number);
const engine = loadEngine({ device: 'cpu', threads, directory: engineDirectory('cpu', process.env) });
/** More than are ever timed. */
const STEPS = 1000;
const recipe = recipeOf({ ...NETWORK, steps: STEPS, globalBatch: images, microbatchSize });
const settings = {
  data: 'mnist',
  seed: 0,
  recipe,
  wire: 'int32',
  checkpointEvery: STEPS,
  dataDigest: loadMnist('train').digest,
};
const arena = openArena(allocateArena(parameterCount(parameterTable(recipe.model))));
copyState(initialTrainingState(recipe, 0), arena.state);
const passes = passesFor(settings, engineDirectory('cpu', process.env));
const trainer = new Trainer(engine, settings, arena, { passes });
const reducer = new Reducer(arena, passes);
const indices = Array.from({ length: images / microbatchSize }, (_, index) => index);
const { table } = trainer;
const whole = bucketsIn(bucketsOf(recipe.model), 'whole');
const slots = indices.map(() => new Float32Array(new SharedArrayBuffer(arena.sum.byteLength)));
let { weights } = passes.marks(arena);
let step = 0;

async function oneStep() {
  const parts = {};
  const timed = async (name, work) => {
    const start = performance.now();
    const result = await work();
    parts[name] = (parts[name] ?? 0) + performance.now() - start;
    return result;
  };
  const gradients = [];
  for (const microbatch of indices) {
    const values = slots[microbatch];
    await timed('gradients', () => trainer.gradient(step, microbatch, values));
    const marks = await timed('describe', () => whole.map((bucket) => passes.describe(bucket, values)));
    const own = Int16Array.from(marks.flatMap((each) => [...each.exponents]));
    gradients.push({ microbatch, buffer: values.buffer, marks, exponents: own });
  }
  const exponents = [...agreedExponents(gradients, table)];
  for (const [place, bucket] of whole.entries()) {
    const summands = gradients.map(({ microbatch, buffer, marks }) => ({ microbatch, buffer, marks: marks[place] }));
    const agreed = exponents.slice(bucket.tensor, bucket.tensor + bucket.table.length);
    const wrong = await timed('fold', () => reducer.fold({ step, weights }, bucket, summands, agreed));
    if (wrong !== null) throw new Error(wrong);
  }
  const { left } = await timed('update', () => trainer.apply(step++, exponents, false));
  ({ weights } = left);
  return { ms: Object.values(parts).reduce((sum, part) => sum + part, 0), parts };
}

await serve({ engine: engine.identity }, oneStep);
