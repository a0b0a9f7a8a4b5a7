/** The residual U-Net on images of other shapes than MNIST's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compile, runEager } from '@lockstep/engine';

import { floats, testEngine, tinyTask, wholeGradient } from '../engine.fixture.js';
import type { ImageShape } from '#src/data/image-shape.js';
import { valuesOf } from '#src/data/image-shape.js';
import { imageShapeOf, initialParameters, parameterTable } from '#src/network/model.js';
import { fillNormal, globalNorm, STREAMS, tensorOf } from '@lockstep/task';
import { presetFor } from '#src/recipe/recipe.js';
import { gradientFunction, gradientInputs, predictionFunction } from '#src/training/loss.js';
import { makeMicrobatch } from '#src/training/microbatch.js';

const engine = testEngine();
const N = 2;

const SHAPES: readonly ImageShape[] = [
  { rows: 16, columns: 16, channels: 3 },
  { rows: 20, columns: 20, channels: 1 },
  { rows: 32, columns: 32, channels: 3 },
  { rows: 48, columns: 48, channels: 3 },
  { rows: 64, columns: 64, channels: 1 },
];

for (const shape of SHAPES) {
  const { model } = presetFor('tiny', shape);
  const table = parameterTable(model);
  const values = valuesOf(shape);
  const named = Object.values(shape).join('x');

  /** Initial weights with a last convolution that is not zero, so that every tensor has a gradient. */
  function awake(): Float32Array {
    const weights = initialParameters(model, 3);
    const last = tensorOf(table, weights, 'conv_out.weight');
    fillNormal(last, { seed: 1, stream: STREAMS.parameters, step: 1, position: 0 });
    last.forEach((w, i) => (last[i] = 0.1 * w));
    return weights;
  }

  test(`on images of ${named} every tensor has a gradient, of the same bits each time, and that of composed kernels to 1e-5`, () => {
    assert.deepEqual(imageShapeOf(model), shape);
    const images = Uint8Array.from({ length: 8 * values }, (_, i) => (i * 7919) % 256);
    const dataset = { images, labels: new Uint8Array(8), count: 8, shape };
    const batch = makeMicrobatch({ ...tinyTask(), dataset, microbatchSize: N }, 0, 0);
    const inputs = gradientInputs(awake(), batch);
    const { fn, specs, stages } = gradientFunction(engine, model, N, 'eps');
    const compiled = compile(engine, fn, specs, { stages });
    const [one, again] = [wholeGradient(compiled.run(inputs)), wholeGradient(compiled.run(inputs))];
    compiled.dispose();
    assert.deepEqual(again, one);
    for (const { name, offset, size } of table)
      assert.ok(globalNorm(one.gradient.subarray(offset, offset + size)) > 0, name);
    const plain = gradientFunction({ ...engine, native: false }, model, N, 'eps');
    const composed = wholeGradient(runEager(engine, plain.fn, plain.specs, inputs));
    const largest = composed.gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
    assert.ok(composed.gradient.every((g, i) => Math.abs(g - one.gradient[i]) <= 1e-5 * largest));
  });

  test(`each of the ${values} numbers of an image of ${named} has its own part in what is predicted`, () => {
    const { fn, specs } = predictionFunction(engine, model, N);
    const x = new Float32Array(N * values);
    fillNormal(x, { seed: 1, stream: STREAMS.noise, step: 0, position: 0 });
    const t = Float32Array.of(500, 500);
    const predicted = (from: Float32Array): Float32Array =>
      floats(runEager(engine, fn, specs, [awake(), from, t])[0]).slice(0, values);
    const before = predicted(x);
    assert.equal(before.length, values);
    // The last number of the last pixel: a stride that is off would miss it, or move it into the other image.
    const changed = x.slice();
    changed[values - 1] += 1;
    const after = predicted(changed);
    assert.ok(Math.abs(after[values - 1] - before[values - 1]) > 1e-3);
    changed.set(x);
    changed[values] += 1;
    const other = predicted(changed);
    assert.ok(other.every((value, i) => Math.abs(value - before[i]) < 1e-5));
  });
}
