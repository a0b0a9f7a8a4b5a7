import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { runEager } from '@lockstep/engine';
import type { Tensor } from '@lockstep/engine';

import { floats, testEngine } from './engine.fixture.js';
import { predictionFunction, savedPrediction } from './loss.js';
import { initialParameters, parameterTable } from './model.js';
import { tensorOf } from './parameters.js';
import { PRESETS } from './presets.js';
import { fillNormal, STREAMS } from './random.js';

const engine = testEngine();

for (const [name, times] of [
  ['tiny', [3, 900]],
  ['seed-16', [0.1, 1]],
] as const) {
  test(`the ${name} network as a SavedModel predicts from x and t alone what it predicts here`, async (context) => {
    const { model } = PRESETS[name];
    const weights = initialParameters(model, 3);
    if (model.kind === 'unet') {
      // It starts at zero, and would predict nothing.
      const last = tensorOf(parameterTable(model), weights, 'conv_out.weight');
      fillNormal(last, { seed: 1, stream: STREAMS.parameters, step: 1, position: 0 });
    }
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-saved-'));
    context.after(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    writeFileSync(join(folder, 'saved_model.pb'), savedPrediction(engine, model, weights, 2));
    const x = new Float32Array(2 * 784);
    fillNormal(x, { seed: 1, stream: STREAMS.noise, step: 0, position: 0 });
    const t = Float32Array.from(times);
    const { fn, specs } = predictionFunction(engine, model, 2);
    const [expected] = runEager(engine, fn, specs, [weights, x, t]).map(floats);

    const { tf } = engine;
    const loaded = await tf.node.loadSavedModel(folder);
    const outputs: object = loaded.predict({ x: tf.tensor(x, [2, 28, 28, 1]), t: tf.tensor(t) });
    loaded.dispose();
    const { eps }: { eps?: Tensor } = outputs;
    assert.ok(eps !== undefined);
    const found = eps.dataSync();
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest > 0.1, `${largest}`);
    assert.ok(expected.every((value, i) => Math.abs(value - found[i]) <= 1e-5 * Math.max(largest, 1)));
  });
}

test('weights of another network are refused with their code', () => {
  assert.throws(() => savedPrediction(engine, PRESETS.tiny.model, new Float32Array(7), 1), { code: 'E_PARAMETERS' });
});
