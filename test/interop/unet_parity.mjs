// Node's half of the comparison with PyTorch: writes the default network's table, weights, inputs and prediction.
//   node test/interop/unet_parity.mjs DIR
// Then: python test/interop/unet_parity.py DIR
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  fillNormal,
  initialParameters,
  parameterTable,
  predictionFunction,
  PRESETS,
  STREAMS,
  tensorOf,
} from '../../libs/diffusion/dist/index.js';
import { compile, engineDirectory, engineEnvironment, loadEngine } from '../../libs/engine/dist/index.js';

const IMAGES = 3;
const [directory] = process.argv.slice(2);
if (directory === undefined) {
  process.stderr.write('usage: node unet_parity.mjs DIR: DIR receives the files for unet_parity.py\n');
  process.exit(2);
}

const setting = { device: 'cpu', threads: 1 };
Object.assign(process.env, engineEnvironment(setting));
const engine = loadEngine({ ...setting, directory: engineDirectory('cpu', process.env) });

const config = PRESETS.default.model;
const table = parameterTable(config);
const weights = initialParameters(config, 1);
// The last convolution starts at zero and would hide everything before it; norms at 1 and 0 would hide a swap of the two.
const disturbed = table.map(({ name }) => name).filter((name) => /norm|conv_out/.test(name));
disturbed.forEach((name, position) => {
  const tensor = tensorOf(table, weights, name);
  const noise = new Float32Array(tensor.length);
  fillNormal(noise, { seed: 1, stream: STREAMS.noise, step: 1, position });
  noise.forEach((z, i) => (tensor[i] += 0.2 * z));
});
const x = new Float32Array(IMAGES * config.imageSize ** 2 * config.channels);
fillNormal(x, { seed: 1, stream: STREAMS.noise, step: 0, position: 0 });
const t = Float32Array.of(1, 500, 1000);

const { fn, specs } = predictionFunction(engine, config, IMAGES);
const compiled = compile(engine, fn, specs);
const [eps] = compiled.run([weights, x, t]);
compiled.dispose();

writeFileSync(join(directory, 'table.json'), JSON.stringify({ table, config, images: IMAGES }));
for (const [name, values] of Object.entries({ weights, x, t, eps })) {
  writeFileSync(join(directory, `${name}.f32`), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}
