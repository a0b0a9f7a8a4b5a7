// Our side of sample.ts: one reverse process of all images for every line on standard input.
//
//   node test/bench/dist/sample/sample-ours.js IMAGES THREADS BATCH        in engineEnvironment()
//
// A line is "KIND VISITED TOTAL": ddim, ddpm or dpmpp2m, and how many of TOTAL timesteps to visit. Fresh weights: they change no time.
import { cacheDirectoryIn } from '@lockstep/config';
import { compile, engineDirectory, loadEngine } from '@lockstep/engine';
import {
  imageShapeOf,
  initialParameters,
  makeSchedule,
  networkEps,
  predictionFunction,
  recipeOf,
  sample,
  type EpsFunction,
  type SamplerConfig,
} from '@lockstep/diffusion';
import { NETWORK } from '../peers/compared-network.js';
import { serve, type Answer } from '../peers/served.js';

const [images, threads, batch] = process.argv.slice(2).map(Number);
const engine = loadEngine({ device: 'cpu', threads, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)) });
const { model, schedule: config, networkTime, prediction } = recipeOf(NETWORK);
const { fn, specs } = predictionFunction(engine, model, batch);
const compiled = compile(engine, fn, specs);
const schedule = makeSchedule(config);
const eps = networkEps({
  run: (inputs) => compiled.run(inputs),
  weights: initialParameters(model, 0),
  n: batch,
  schedule,
  networkTime,
  prediction,
  condition: null,
});
const shape = imageShapeOf(model);

/** Thrown in place of the prediction after the last step that is to be timed. */
class Enough extends Error {}

/** The sampler that a line names. */
function samplerOf(kind: string, steps: number): SamplerConfig {
  const common = { steps, clip: true };
  switch (kind) {
    case 'ddim':
      return { kind, eta: 0, ...common };
    case 'ddpm':
      return { kind, variance: 'beta', ...common };
    case 'dpmpp2m':
      return { kind, ...common };
    default:
      throw new Error(`no sampler is called ${kind}`);
  }
}

function drawAll(line: string): Answer {
  const [kind, visited, total] = line.split(' ');
  const sampler = samplerOf(kind, Number(total));
  const start = performance.now();
  for (let firstImage = 0; firstImage < images; firstImage += batch) {
    let done = 0;
    const counted: EpsFunction = (x, t) => {
      if (done++ === Number(visited)) throw new Enough();
      return eps(x, t);
    };
    try {
      sample({ schedule, sampler, eps: counted, seed: 0, firstImage, count: batch, shape });
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
  }
  return { ms: performance.now() - start };
}

await serve({ engine: engine.identity }, drawAll);
