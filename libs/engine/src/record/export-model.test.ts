import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Tensor } from '#src/device/binding.js';
import { conv3x3 } from '#src/kernels/conv3x3.js';
import { assertClose, numbersOf, testEngine } from '../engine.fixture.js';
import { runEager } from '#src/program/eager.js';
import { exportModel } from '#src/record/export-model.js';
import { groupNormSilu } from '#src/kernels/group-norm.js';
import type { Engine } from '#src/device/load.js';
import type { TensorFunction } from '#src/record/trace.js';

const engine = testEngine();
const { tf } = engine;
const IMAGE = { shape: [2, 4, 4, 8], dtype: 'float32' } as const;
const SCALE = { shape: [1], dtype: 'float32' } as const;
const FILTER = numbersOf(9 * 8 * 8, 1);

/** With our kernels, both layers are ops that nobody else has. */
const layers =
  (on: Engine): TensorFunction =>
  ([image, scale]) => {
    const x = conv3x3(on, { x: image, filter: on.tf.tensor(FILTER, [3, 3, 8, 8]) });
    const y = groupNormSilu(on, { x, gamma: on.tf.ones([8]), beta: on.tf.zeros([8]), groups: 4 });
    return [on.tf.mul(y, scale), on.tf.sum(y)];
  };

test('an exported function is loaded by TensorFlow from its folder, by the names given, and gives what ours gives', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-export-'));
  context.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const bytes = exportModel(engine, layers, { image: IMAGE, scale: SCALE }, ['scaled', 'sum']);
  writeFileSync(join(folder, 'saved_model.pb'), bytes);
  const model = await tf.node.loadSavedModel(folder);
  const inputs = [numbersOf(2 * 4 * 4 * 8, 2), Float32Array.of(3)];
  const given = { scale: tf.tensor(inputs[1]), image: tf.tensor(inputs[0], [...IMAGE.shape]) };
  const found = model.predict(given);
  assert.ok(!Array.isArray(found) && !(found instanceof tf.Tensor));
  const named: Record<string, Tensor> = { ...found };
  assert.deepEqual(Object.keys(named).sort(), ['scaled', 'sum']);
  const [scaled, sum] = runEager(engine, layers(engine), [IMAGE, SCALE], inputs);
  assertClose(named['scaled'].dataSync(), scaled, 1e-5, 'scaled');
  assertClose(named['sum'].dataSync(), sum, 1e-5, 'sum');
  model.dispose();
});

test("an exported function has none of our own ops, which others' TensorFlow lacks", () => {
  const bytes = exportModel(engine, layers, { image: IMAGE, scale: SCALE }, ['scaled', 'sum']);
  assert.ok(Buffer.from(bytes).includes('Conv2D'));
  assert.ok(!Buffer.from(bytes).includes('Lockstep'));
});

test('an output without a name is refused with its code', () => {
  assert.throws(() => exportModel(engine, layers, { image: IMAGE, scale: SCALE }, ['scaled']), {
    code: 'E_ENGINE_OUTPUT',
  });
});
