import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { DirectoryStore, openRun, runPaths } from '@lockstep/run';
import { fillNormal, initialParameters, parameterTable, PRESETS, STREAMS, type Recipe } from '@lockstep/diffusion';
import { drawn } from './draw.fixture.js';

const CONDITIONAL: Recipe = { ...PRESETS.tiny, model: { ...PRESETS.tiny.model, classes: 3 }, prediction: 'v' };

/** Weights of a network that has something to say: its last convolution is not zero. */
function awake({ model }: Recipe, seed: number): Float32Array {
  const weights = initialParameters(model, seed);
  for (const { name, offset, size } of parameterTable(model)) {
    if (name.startsWith('conv_out'))
      fillNormal(weights.subarray(offset, offset + size), { seed, stream: STREAMS.noise, step: 0, position: 0 });
  }
  return weights;
}

/** A run's directory with one checkpoint, whose weights are not what images are to be drawn from. */
async function trained(context: TestContext, recipe: Recipe, weights: Float32Array): Promise<string> {
  const run = mkdtempSync(join(tmpdir(), 'lockstep-draw-'));
  context.after(() => rmSync(run, { recursive: true, force: true }));
  const ema = awake(recipe, 3);
  const zeros = new Float32Array(ema.length);
  await new DirectoryStore(runPaths(run).checkpoints).publish({
    runId: 'r',
    state: { step: 5, weights, expAvg: zeros, expAvgSq: zeros, ema },
    table: parameterTable(recipe.model),
    arithmetic: 2,
    model: z.json().parse(JSON.parse(JSON.stringify(recipe))),
    createdAt: 1,
  });
  return run;
}

test('images are drawn from the moving average, and the weights beside it change no pixel', async (context) => {
  const recipe = PRESETS.tiny;
  const images = await Promise.all(
    [awake(recipe, 4), awake(recipe, 5)].map(
      async (weights) => (await drawn(await trained(context, recipe, weights))).images,
    ),
  );
  assert.deepEqual(images[1], images[0]);
  assert.ok(new Set(images[0]).size > 100, 'images, not a constant');
});

test('guided images of each class have the same pixels with one worker and with two, and their denoising ends with them', async (context) => {
  const run = await trained(context, CONDITIONAL, awake(CONDITIONAL, 4));
  const request = { allClasses: true, guidance: 3, animate: join(run, 'steps.png') };
  const one = await drawn(run, request);
  assert.deepEqual([one.rows, one.columns, one.step], [3, 6, 5]);
  const [still, moving] = [readFileSync(join(run, 'x.png')), readFileSync(join(run, 'steps.png'))];
  assert.ok(moving.includes('acTL') && moving.length > 4 * still.length);
  const two = await drawn(run, { ...request, workers: 2, animate: null });
  assert.deepEqual(two.images, one.images);
  const unguided = await drawn(run, { ...request, guidance: 1, animate: null });
  assert.notDeepEqual(unguided.images, one.images);
});

test('what cannot be drawn is refused before any worker is started, and no file is left', async (context) => {
  const run = await trained(context, CONDITIONAL, awake(CONDITIONAL, 4));
  const environment = { LOCKSTEP_CACHE: '/nowhere' };
  for (const [wrong, code] of [
    [{ class: 3 }, 'E_LABEL'],
    [{ steps: 1001 }, 'E_SAMPLER'],
    [{ sampler: 'ddim', eta: 2 }, 'E_SAMPLER'],
    [{ scale: 2000 }, 'E_SAMPLE_SIZE'],
  ] as const) {
    await assert.rejects(drawn(run, { ...wrong, env: environment }), { code });
  }
  assert.ok(!existsSync(join(run, 'x.png')));
});

test('where a picture cannot go is found before anything is drawn, and two pictures do not go into one file', async (context) => {
  const run = await trained(context, CONDITIONAL, awake(CONDITIONAL, 4));
  // An engine that is not there: whoever begins to draw fails by another code.
  const env = { LOCKSTEP_CACHE: '/nowhere' };
  const nosuch = join(run, 'nosuch', 'x.png');
  for (const wrong of [{ out: nosuch }, { animate: nosuch }, { out: run }])
    await assert.rejects(drawn(run, { ...wrong, env }), { code: 'E_OUTPUT_PATH' });
  symlinkSync('y.png', join(run, 'link.png'));
  const one = { out: join(run, 'y.png'), animate: join(run, 'link.png'), env };
  await assert.rejects(drawn(run, one), {
    code: 'E_SAMPLE_OPTION',
    message: /--out .*y\.png and --animate .*link\.png are one file/,
  });
});

test('a picture goes where a link leads, and rows have the names of the data', async (context) => {
  const run = await trained(context, CONDITIONAL, awake(CONDITIONAL, 4));
  const dataset = { count: 9, classNames: ['cat', 'dog', 'eel'] };
  const record = { runId: 'r', seed: 0, dataDigest: 'd', dataset, config: null, createdAt: 1 };
  await openRun(run, record);
  symlinkSync('real.png', join(run, 'x.png'));
  const all = await drawn(run, { allClasses: true, columns: 1 });
  assert.deepEqual([all.rowNames, all.isPrinted], [dataset.classNames, false]);
  assert.ok(lstatSync(join(run, 'x.png')).isSymbolicLink());
  assert.equal(readFileSync(join(run, 'real.png')).subarray(1, 4).toString('latin1'), 'PNG');
  const named = await drawn(run, { class: 'dog', rows: 1, columns: 2 });
  assert.deepEqual((await drawn(run, { class: 1, rows: 1, columns: 2 })).images, named.images);
  assert.deepEqual(named.rowNames, []);
});
