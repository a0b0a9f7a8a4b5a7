// Images a second of the sampler: 64 images of the default network with fresh weights, DDIM 50, one process.
//
//   node test/bench/sample.mjs [--threads N] [--rounds N] [--ddim-steps N]
//
// Prints one JSON object with every figure's min and median.
import { parseArgs } from 'node:util';
import { compile, engineDirectory, engineEnvironment, loadEngine } from '../../libs/engine/dist/index.js';
import {
  initialParameters,
  makeSchedule,
  networkEps,
  predictionFunction,
  presetOf,
  sample,
} from '../../libs/diffusion/dist/index.js';
import { summary } from './summary.mjs';

const IMAGES = 64;
const BATCH = 32;

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    'ddim-steps': { type: 'string', default: '50' },
  },
});
const threads = Number(values.threads);
const steps = Number(values['ddim-steps']);
Object.assign(process.env, engineEnvironment({ device: 'cpu', threads }));
const engine = loadEngine({ device: 'cpu', threads, directory: engineDirectory('cpu', process.env) });
const { model, schedule: config, networkTime } = presetOf('default');
const { fn, specs } = predictionFunction(engine, model, BATCH);
const compiled = compile(engine, fn, specs);
const schedule = makeSchedule(config);
const eps = networkEps((inputs) => compiled.run(inputs), initialParameters(model, 0), BATCH, schedule, networkTime);
const sampler = { kind: 'ddim', steps, eta: 0, clip: true };
const imageSize = model.imageSize ** 2;
const draw = (count) => {
  for (let firstImage = 0; firstImage < count; firstImage += BATCH) {
    sample({ schedule, sampler: { ...sampler, steps }, eps, seed: 0, firstImage, count: BATCH, imageSize });
  }
};
eps(new Float32Array(BATCH * imageSize), 1);
const seconds = [];
for (let round = 0; round < Number(values.rounds); round++) {
  const start = performance.now();
  draw(IMAGES);
  seconds.push((performance.now() - start) / 1000);
}
console.log(
  JSON.stringify(
    {
      bench: 'sample',
      images: IMAGES,
      steps,
      threads,
      seconds: summary(seconds),
      imagesPerSecond: IMAGES / summary(seconds).median,
    },
    null,
    2,
  ),
);
