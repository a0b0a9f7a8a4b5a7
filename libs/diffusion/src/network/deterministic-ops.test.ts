import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compile } from '@lockstep/engine';

import { testEngine } from '../engine.fixture.js';
import { gradientFunction, predictionFunction } from '#src/training/loss.js';
import { PRESETS } from '#src/recipe/presets.js';

/**
 * Ops whose GPU kernels end with an error while TF_DETERMINISTIC_OPS is set, which engineEnvironment() sets on a GPU: those of
 * TensorFlow's RFC on determinism (tensorflow/community, rfcs/20210119-determinism.md) that an image network could meet.
 */
const REFUSED = [
  'AdjustContrastv2',
  'Bincount',
  'CropAndResizeGradBoxes',
  'CropAndResizeGradImage',
  'DepthwiseConv2dNativeBackpropFilter',
  'FusedBatchNormGradV3',
  'ResizeNearestNeighborGrad',
  'SoftmaxCrossEntropyWithLogits',
  'SparseSoftmaxCrossEntropyWithLogits',
];

for (const [preset, prediction] of [
  ['default', 'v'],
  ['tiny', 'eps'],
  ['seed', 'eps'],
] as const) {
  test(`without our kernels, as on a GPU, the ${preset} network, predicting ${prediction}, is made of ops that run deterministically there`, () => {
    const engine = { ...testEngine(), native: false };
    const { model } = PRESETS[preset];
    for (const { fn, specs } of [
      gradientFunction(engine, model, 2, prediction),
      predictionFunction(engine, model, 2),
    ]) {
      const compiled = compile(engine, fn, specs);
      const { ops } = compiled.info;
      compiled.dispose();
      assert.ok('Conv2D' in ops, 'the network was recorded');
      assert.deepEqual(
        Object.keys(ops).filter((op) => REFUSED.includes(op) || op.startsWith('Lockstep')),
        [],
      );
    }
  });
}
