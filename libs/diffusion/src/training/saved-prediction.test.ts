import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { type Tensor, runEager } from '@lockstep/engine';

import { floats, testEngine } from '../engine.fixture.js';
import { predictionFunction, savedPrediction } from '#src/training/loss.js';
import { initialParameters, parameterTable } from '#src/network/model.js';
import { tensorOf, fillNormal, STREAMS } from '@lockstep/task';
import { PRESETS } from '#src/recipe/presets.js';
import type { Recipe } from '#src/recipe/presets.js';

const engine = testEngine();

const CONDITIONAL: Recipe = { ...PRESETS.tiny, model: { ...PRESETS.tiny.model, classes: 3 }, prediction: 'v' };

for (const [name, preset, times, labels] of [
  ['tiny', PRESETS.tiny, [3, 900], null],
  ['seed-16', PRESETS['seed-16'], [0.1, 1], null],
  ['conditional', CONDITIONAL, [3, 900], [2, 3]],
] as const) {
  test(`the ${name} network as a SavedModel predicts from its inputs alone what it predicts here`, async (context) => {
    const { model, prediction } = preset;
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
    writeFileSync(join(folder, 'saved_model.pb'), savedPrediction(engine, preset, weights, 2));
    const x = new Float32Array(2 * 784);
    fillNormal(x, { seed: 1, stream: STREAMS.noise, step: 0, position: 0 });
    const t = Float32Array.from(times);
    const { fn, specs } = predictionFunction(engine, model, 2);
    const given = labels === null ? [weights, x, t] : [weights, x, t, Int32Array.from(labels)];
    const [expected] = runEager(engine, fn, specs, given).map(floats);

    const { tf } = engine;
    const loaded = await tf.node.loadSavedModel(folder);
    const inputs = { x: tf.tensor(x, [2, 28, 28, 1]), t: tf.tensor(t) };
    const outputs: object = loaded.predict(
      labels === null ? inputs : { ...inputs, labels: tf.tensor1d([...labels], 'int32') },
    );
    loaded.dispose();
    const { [prediction]: output }: { eps?: Tensor; v?: Tensor } = outputs;
    assert.ok(output !== undefined);
    const found = output.dataSync();
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest > 0.1, `${largest}`);
    assert.ok(expected.every((value, i) => Math.abs(value - found[i]) <= 1e-5 * Math.max(largest, 1)));
  });
}

test('weights of another network are refused with their code', () => {
  assert.throws(() => savedPrediction(engine, PRESETS.tiny, new Float32Array(7), 1), { code: 'E_PARAMETERS' });
});
