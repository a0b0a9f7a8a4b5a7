// Milliseconds of one training step (gradient of 32 images of the default network), our recorded graph against PyTorch's
// eager step, one core each, taken in turns in the same minutes.
//
//   node test/bench/step.mjs [--python PATH] [--rounds N] [--microbatch N]
//
// Ours: one run of the recorded gradient graph for every microbatch of the 32 images, their integer sum, Adam and EMA, and
// the checksums, all on one thread; in a worker, sum and fold's checks run in the reducer thread. PyTorch: forward, backward,
// Adam. Prints one JSON object with every figure's min and median, and the ratio of medians.
//
// parts_ms, for one step: gradients (with their inputs); describe (exponents and checksum of each gradient); fold (checks of weights and
// gradients, sum to integers); update (check of the state, mean, norm, Adam, EMA, digest). Besides the gradients all is what
// exactness and the guard against damaged memory cost, and the update itself.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { summary } from './summary.mjs';

const IMAGES = 32;
const WARM_UP = 3;

const { values } = parseArgs({
  options: {
    python: { type: 'string', default: process.env.LOCKSTEP_BENCH_PYTHON },
    rounds: { type: 'string', default: '15' },
    microbatch: { type: 'string', default: '8' },
    threads: { type: 'string', default: '1' },
  },
});
const rounds = Number(values.rounds);
const microbatchSize = Number(values.microbatch);
const threads = Number(values.threads);

async function ours() {
  const { engineDirectory, engineEnvironment, loadEngine } = await import('../../libs/engine/dist/index.js');
  const { parameterCount, parameterTable, presetOf, initialTrainingState, recipeOf, loadMnist } =
    await import('../../libs/diffusion/dist/index.js');
  const { Trainer } = await import('../../apps/worker/dist/trainer.js');
  const { allocateArena, copyState, openArena } = await import('../../apps/worker/dist/arena.js');
  const { passesFor } = await import('../../apps/worker/dist/native-passes.js');
  const { Reducer } = await import('../../apps/worker/dist/reducer.js');
  const { agreedExponents } = await import('../../apps/worker/dist/exact-sum.js');
  Object.assign(process.env, engineEnvironment({ device: 'cpu', threads }));
  const engine = loadEngine({ device: 'cpu', threads, directory: engineDirectory('cpu', process.env) });
  const settings = {
    preset: 'default',
    seed: 0,
    steps: 1000,
    globalBatch: IMAGES,
    microbatchSize,
    learningRate: null,
    timesteps: null,
    checkpointEvery: 1000,
    dataDigest: loadMnist('train').digest,
  };
  const arena = openArena(allocateArena(parameterCount(parameterTable(presetOf('default').model))));
  copyState(initialTrainingState(recipeOf(settings), 0), arena.state);
  const passes = passesFor(settings, engineDirectory('cpu', process.env));
  const trainer = new Trainer(engine, settings, arena, { passes });
  const reducer = new Reducer(arena, passes);
  let { weights } = passes.marks(arena);
  const indices = Array.from({ length: IMAGES / microbatchSize }, (_, index) => index);
  const { table } = trainer;
  const slots = indices.map(() => new Float32Array(new SharedArrayBuffer(4 * arena.sum.length)));
  const names = ['gradients', 'describe', 'fold', 'update'];
  const parts = Object.fromEntries(names.map((name) => [name, []]));
  let step = 0;
  const run = async () => {
    const spent = Object.fromEntries(names.map((name) => [name, 0]));
    const timed = (name, work) => {
      const start = performance.now();
      const result = work();
      spent[name] += performance.now() - start;
      return result;
    };
    const gradients = indices.map((microbatch) => {
      const values = slots[microbatch];
      timed('gradients', () => trainer.gradient(step, microbatch, values));
      const { exponents, checksum } = timed('describe', () => passes.describe(values));
      return { microbatch, buffer: values.buffer, checksum, exponents };
    });
    const exponents = [...agreedExponents(gradients, table)];
    const start = performance.now();
    const wrong = await reducer.fold({ step, weights }, gradients, exponents);
    spent.fold += performance.now() - start;
    if (wrong !== null) throw new Error(wrong);
    ({ weights } = timed('update', () => trainer.apply(step++, exponents, false)).left);
    for (const name of names) parts[name].push(spent[name]);
    return names.reduce((total, name) => total + spent[name], 0);
  };
  return { run, parts, engine: engine.identity };
}

/** A PyTorch process that does one step for every line it reads. */
function peer(python) {
  const script = fileURLToPath(new URL('./peers/step_torch.py', import.meta.url));
  // OPENBLAS_CORETYPE, where it is set for old numpy builds, would slow PyTorch down.
  const env = { ...process.env };
  delete env.OPENBLAS_CORETYPE;
  const child = spawn(python, [script, String(IMAGES), String(threads)], { stdio: ['pipe', 'pipe', 'inherit'], env });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  return {
    ready: next(),
    run: async () => {
      child.stdin.write('step\n');
      return (await next()).ms;
    },
    close: () => child.stdin.end(),
  };
}

const mine = await ours();
const torch = values.python === undefined ? null : peer(values.python);
const versions = torch === null ? null : await torch.ready;
const samples = { ours: [], torch: [] };
for (let round = -WARM_UP; round < rounds; round++) {
  const own = await mine.run();
  const other = torch === null ? null : await torch.run();
  if (round < 0) continue;
  samples.ours.push(own);
  if (other !== null) samples.torch.push(other);
}
torch?.close();

/** Milliseconds of these parts together, and their share of the step, by step. */
function share(...names) {
  const ms = samples.ours.map((_, round) => names.reduce((sum, name) => sum + mine.parts[name][WARM_UP + round], 0));
  return { ms: summary(ms), share: summary(ms.map((part, round) => part / samples.ours[round])) };
}

const result = {
  bench: 'step',
  images: IMAGES,
  microbatchSize,
  threads,
  engine: mine.engine,
  ours_ms: summary(samples.ours),
  parts_ms: Object.fromEntries(Object.entries(mine.parts).map(([name, list]) => [name, summary(list.slice(WARM_UP))])),
  besides_gradients: share('describe', 'fold', 'update'),
};
if (torch !== null) {
  const ratios = samples.ours.map((ms, index) => ms / samples.torch[index]);
  Object.assign(result, { peer: versions, torch_ms: summary(samples.torch), ratio: summary(ratios) });
}
console.log(JSON.stringify(result, null, 2));
