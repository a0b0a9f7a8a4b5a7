import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DirectoryStore, runPaths, type JsonValue } from '@lockstep/run';
import { initialTrainingState, parameterTable, PRESETS, type Recipe } from '@lockstep/diffusion';
import { drawn } from './draw.fixture.js';

/** Draws one picture, by two steps, from a checkpoint whose weights and moving average come from these two seeds. */
async function imagesOf(context: TestContext, recipe: Recipe, weights: number, ema: number): Promise<Float32Array> {
  const run = mkdtempSync(join(tmpdir(), 'lockstep-draw-'));
  context.after(() => {
    rmSync(run, { recursive: true, force: true });
  });
  const state = { step: 7, ...initialTrainingState(recipe, weights), ema: initialTrainingState(recipe, ema).weights };
  await new DirectoryStore(runPaths(run).checkpoints).publish({
    runId: 'r',
    state,
    table: parameterTable(recipe.model),
    arithmetic: 2,
    model: JSON.parse(JSON.stringify(recipe)) as JsonValue,
    createdAt: 1,
  });
  const { images, step } = await drawn(run, { rows: 1, columns: 1, sampler: null, steps: 2 });
  assert.equal(step, 7);
  return images;
}

// The seed's network: none of its layers starts at zero, so that other weights give other images.
test("samples are drawn from the checkpoint's moving average, whatever its weights are", async (context) => {
  const images = await imagesOf(context, PRESETS['seed-16'], 1, 2);
  assert.deepEqual(await imagesOf(context, PRESETS['seed-16'], 3, 2), images);
  assert.notDeepEqual(await imagesOf(context, PRESETS['seed-16'], 1, 3), images);
});
