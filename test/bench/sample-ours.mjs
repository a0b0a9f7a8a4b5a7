// Our side of sample.mjs: one reverse process of all images for every line on standard input.
//
//   node test/bench/sample-ours.mjs IMAGES THREADS BATCH        in engineEnvironment()
//
// A line is "KIND VISITED TOTAL": ddim, ddpm or dpmpp2m, and how many of TOTAL timesteps to visit. Fresh weights: they change no time.
import { compile, engineDirectory, loadEngine } from '../../libs/engine/dist/index.js';
import {
  imageShapeOf,
  initialParameters,
  makeSchedule,
  networkEps,
  predictionFunction,
  recipeOf,
  sample,
} from '../../libs/diffusion/dist/index.js';
import { NETWORK } from './network.mjs';
import { serve } from './served.mjs';

const [images, threads, batch] = process.argv.slice(2).map(Number);
const engine = loadEngine({ device: 'cpu', threads, directory: engineDirectory('cpu', process.env) });
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

await serve({ engine: engine.identity }, (line) => {
  const [kind, visited, total] = line.split(' ').map((word, index) => (index === 0 ? word : Number(word)));
  const options = { ddim: { eta: 0 }, ddpm: { variance: 'beta' }, dpmpp2m: {} }[kind];
  const sampler = { kind, steps: total, clip: true, ...options };
  const start = performance.now();
  for (let firstImage = 0; firstImage < images; firstImage += batch) {
    let done = 0;
    const counted = (x, t) => {
      if (done++ === visited) throw new Enough();
      return eps(x, t);
    };
    try {
      sample({ schedule, sampler, eps: counted, seed: 0, firstImage, count: batch, shape });
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
  }
  return { ms: performance.now() - start };
});
