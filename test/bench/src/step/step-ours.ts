// Our side of step.ts: one training step for every line on standard input.
//
//   node test/bench/dist/step/step-ours.js THREADS MICROBATCH IMAGES        in engineEnvironment()
import { setImmediate as otherWork } from 'node:timers/promises';
import { cacheDirectoryIn } from '@lockstep/config';
import { engineDirectory, loadEngine } from '@lockstep/engine';
import { diffusionTask, recipeOf } from '@lockstep/diffusion';
import { initialState, parameterCount } from '@lockstep/task';
import {
  agreedExponents,
  allocateArena,
  bucketsIn,
  bucketsOf,
  copyState,
  openArena,
  passesFor,
  LocalSum,
  sumFormOf,
  Trainer,
} from '@lockstep/worker/compute';
import { NETWORK } from '../peers/compared-network.js';
import { serve, type Answer } from '../peers/served.js';

const [threads, microbatchSize, images] = process.argv.slice(2).map(Number);
const engine = loadEngine({ device: 'cpu', threads, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)) });
/** More than are ever timed. */
const STEPS = 1000;
const recipe = recipeOf({ ...NETWORK, steps: STEPS, globalBatch: images, microbatchSize });
const task = diffusionTask.create({ ...recipe });
const data = await task.open('mnist', 'train');
const run = { task, data, seed: 0, wire: 'int32', arithmetic: 2, engine: 'program' } as const;
const arena = openArena(allocateArena(parameterCount(task.table)));
copyState(initialState(task, run.seed), arena.state);
const cache = cacheDirectoryIn(process.env);
const passes = passesFor(task.table, sumFormOf(run, task), run.arithmetic, engineDirectory('cpu', cache));
const trainer = new Trainer(engine, run, arena, { passes });
const localSum = new LocalSum(arena, passes, otherWork);
const indices = Array.from({ length: images / microbatchSize }, (_, index) => index);
const { table } = trainer;
const whole = bucketsIn(bucketsOf(task), 'whole');
const slots = indices.map(() => new Float32Array(new SharedArrayBuffer(arena.sum.byteLength)));
let { weights } = passes.marks(arena);
let step = 0;

/** Milliseconds of each part of a step. */
class Stopwatch {
  readonly parts: Record<string, number> = { gradients: 0, describe: 0, fold: 0, update: 0 };

  async timed<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await work();
    this.parts[name] += performance.now() - start;
    return result;
  }
}

async function oneStep(): Promise<Answer> {
  const watch = new Stopwatch();
  const gradients = [];
  for (const microbatch of indices) {
    const values = slots[microbatch];
    await watch.timed('gradients', () => trainer.gradient(step, microbatch, values));
    const marks = await watch.timed('describe', () => whole.map((bucket) => passes.describe(bucket, values)));
    const own = Int16Array.from(marks.flatMap((each) => [...each.exponents]));
    gradients.push({ microbatch, values, buffer: values.buffer, marks, exponents: own });
  }
  const exponents = [...agreedExponents(gradients, table)];
  for (const [place, bucket] of whole.entries()) {
    const summands = gradients.map(({ microbatch, buffer, marks }) => ({ microbatch, buffer, marks: marks[place] }));
    const agreed = exponents.slice(bucket.tensor, bucket.tensor + bucket.table.length);
    const wrong = await watch.timed('fold', () => localSum.fold({ step, weights }, bucket, summands, agreed));
    if (wrong !== null) throw new Error(wrong);
  }
  const { left } = await watch.timed('update', () => trainer.apply(step++, exponents, false));
  ({ weights } = left);
  const { parts } = watch;
  return { ms: Object.values(parts).reduce((sum, part) => sum + part, 0), parts };
}

await serve({ engine: engine.identity }, oneStep);
