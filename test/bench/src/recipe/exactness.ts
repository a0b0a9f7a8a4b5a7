// Loss curves of one training run summed in several ways. Same seed, batches, noise and optimiser. Prints one JSON object; with
// --svg also draws the curves.
//
//   node test/bench/dist/recipe/exactness.js [--steps N] [--svg FILE] [--runs NAME,NAME]
//
// exact: integers, as Lockstep does. float32: in microbatch order; float32Reversed: in reverse, as another ring order would add.
// exactInt16: as with int16 on the wire, an exponent a tensor. The rest is what else half the bytes could be, exact and free of order
// too. int16: an exponent a block of 256 numbers; int16Stochastic: blocks, rounded up or down by chance, keyed by step, microbatch
// and place.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { cacheDirectoryIn } from '@lockstep/config';
import { engineDirectory, engineEnvironment, loadEngine } from '@lockstep/engine';
import { diffusionTask, recipeOf } from '@lockstep/diffusion';
import { initialState, parameterCount } from '@lockstep/task';
import { allocateArena, copyState, openArena, Trainer } from '@lockstep/worker/compute';
import { NETWORK } from '../peers/compared-network.js';
import { print } from '../result/result.js';
import { mean } from '../result/summary.js';
import { exactnessPlot } from './exactness-plot.js';
import { int16Blocks, WAYS, type Way } from './ways-to-sum.js';

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '500' },
    svg: { type: 'string' },
    runs: { type: 'string', default: 'exact,float32,float32Reversed' },
  },
});
const steps = Number(values.steps);

Object.assign(process.env, engineEnvironment({ device: 'cpu', threads: 1 }));
const engine = loadEngine({
  device: 'cpu',
  threads: 1,
  directory: engineDirectory('cpu', cacheDirectoryIn(process.env)),
});
const recipe = recipeOf({ ...NETWORK, steps, globalBatch: 32, microbatchSize: 8 });
const task = diffusionTask.create({ ...recipe });
const data = await task.open('mnist', 'train');
const microbatches = Array.from({ length: recipe.globalBatch / recipe.microbatchSize }, (_, index) => index);

interface Trained {
  /** Mean of each step. */
  readonly losses: readonly number[];
  readonly weights: Float32Array;
}

/** Trains once. */
function train({ wire, update }: Way): Trained {
  const run = { task, data, seed: 0, wire, arithmetic: 2, engine: 'tensorflow' } as const;
  const arena = openArena(allocateArena(parameterCount(task.table)));
  copyState(initialState(task, run.seed), arena.state);
  const trainer = new Trainer(engine, run, arena);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const gradients = microbatches.map((index) => trainer.compute(step, index));
    const loss = mean(gradients.map((gradient) => gradient.loss ?? NaN));
    losses.push(loss);
    update(
      { task, trainer, arena },
      step,
      gradients.map((gradient) => gradient.values),
    );
    if (step % 50 === 0) process.stderr.write(`step ${step} loss ${loss.toFixed(4)}\n`);
  }
  return { losses, weights: Float32Array.from(arena.state.weights) };
}

/** Mean of the last tenth of a curve. */
const tail = ({ losses }: Trained): number => mean(losses.slice(-Math.max(1, Math.round(steps / 10))));

/** How far two runs have gone apart. */
function apart(a: Trained, b: Trained): object {
  let square = 0;
  let norm = 0;
  a.weights.forEach((weight, at) => {
    square += (weight - b.weights[at]) ** 2;
    norm += weight ** 2;
  });
  return {
    largestLossDifference: Math.max(...a.losses.map((loss, step) => Math.abs(loss - b.losses[step]))),
    firstStepThatDiffers: a.losses.findIndex((loss, step) => loss !== b.losses[step]),
    relativeWeightDistance: Math.sqrt(square / norm),
  };
}

function main(): number {
  const names = values.runs.split(',');
  const runs = names.flatMap((name) => {
    const way = WAYS.get(name);
    return way === undefined ? [] : [{ name, title: way.title, ...train(way) }];
  });
  if (runs.length < names.length) {
    console.error(`there are the runs ${[...WAYS.keys()].join(', ')}`);
    return 2;
  }
  print({
    steps,
    lastTenthMeanLoss: Object.fromEntries(runs.map((run) => [run.name, tail(run)])),
    pairs: runs.flatMap((a, at) => runs.slice(at + 1).map((b) => ({ of: `${a.name} and ${b.name}`, ...apart(a, b) }))),
    int16Blocks,
    losses: Object.fromEntries(runs.map((run) => [run.name, run.losses])),
  });
  if (values.svg !== undefined) writeFileSync(values.svg, exactnessPlot(runs, steps));
  return 0;
}

process.exitCode = main();
