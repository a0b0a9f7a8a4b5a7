/**
 * Whether a checkpoint can be used without Lockstep: Python opens it with `safetensors`, rebuilds the network in PyTorch, and must
 * predict what we predict.
 *
 *   npm run interop            in the Python that `npm run bench:peers` makes; LOCKSTEP_BENCH_PYTHON names another one
 *   npm run interop -- --tensorflow PYTHON      this Python, which has tensorflow and safetensors, loads the SavedModels as well
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { cacheDirectoryIn } from '@lockstep/config';
import { peerEnvironment, peerPython, versionsOf } from '@lockstep/bench/peers';
import {
  checkpointFolder,
  DirectoryStore,
  encodeSafetensors,
  type SafetensorsEntry,
  type TrainingState,
} from '@lockstep/run';
import {
  COLOUR,
  classCount,
  fillNormal,
  dimensionsOf,
  imageShapeOf,
  initialTrainingState,
  parameterTable,
  predictionFunction,
  recipeFor,
  recipeOf,
  savedPrediction,
  STREAMS,
  tensorOf,
  type ParameterTable,
  type Recipe,
} from '@lockstep/diffusion';
import { compile, engineDirectory, engineEnvironment, loadEngine, type Engine } from '@lockstep/engine';

const IMAGES = 3;
const STEP = 1;
/** Two classes, and none (of ten). */
const LABELS = [3, 8, 10];
const script = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** Whether a script in that Python ended well. */
function ran(python: string, ...args: string[]): boolean {
  const env = { ...peerEnvironment(), PYTHONDONTWRITEBYTECODE: '1', TF_CPP_MIN_LOG_LEVEL: '2' };
  return spawnSync(python, args, { stdio: 'inherit', env }).status === 0;
}

/** State 0 with another moving average, whose norms are not 1 and 0 and whose last convolution is not zero: a swap would show. */
function stateOf(recipe: Recipe, table: ParameterTable): TrainingState {
  const state = initialTrainingState(recipe, 1);
  const disturbed = table.map(({ name }) => name).filter((name) => /norm|conv_out/.test(name));
  disturbed.forEach((name, position) => {
    const tensor = tensorOf(table, state.ema, name);
    const noise = new Float32Array(tensor.length);
    fillNormal(noise, { seed: 1, stream: STREAMS.noise, step: 1, position });
    noise.forEach((normal, i) => (tensor[i] += 0.2 * normal));
  });
  return { step: STEP, ...state };
}

/** Inputs, and our own prediction. */
function predictionOf(
  engine: Engine,
  { model }: Recipe,
  weights: Float32Array,
  times: readonly number[],
): SafetensorsEntry[] {
  const shape = [IMAGES, ...dimensionsOf(imageShapeOf(model))];
  const x = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
  fillNormal(x, { seed: 1, stream: STREAMS.noise, step: 0, position: 0 });
  const t = Float32Array.from(times);
  const { fn, specs } = predictionFunction(engine, model, IMAGES);
  const compiled = compile(engine, fn, specs);
  const labels = classCount(model) > 0 ? [Int32Array.from(LABELS)] : [];
  const [eps] = compiled.run([weights, x, t, ...labels]);
  compiled.dispose();
  const tensor = (name: string, of: readonly number[], data: Float32Array): SafetensorsEntry => ({
    name,
    dtype: 'F32',
    shape: of,
    data,
  });
  return [
    tensor('x', shape, x),
    tensor('t', [IMAGES], t),
    tensor('labels', [IMAGES], Float32Array.from(LABELS)),
    tensor('eps', shape, Float32Array.from(eps)),
  ];
}

/** A preset on square images in colour, of ten classes. */
function inColour(preset: string, side: number): Recipe {
  return recipeFor({ preset }, { labels: Uint8Array.of(9), shape: { rows: side, columns: side, channels: COLOUR } });
}

/** Who opens what we write; undefined: nobody loads SavedModels. */
interface Pythons {
  readonly python: string;
  readonly tensorflow: string | undefined;
}

/** Whether they predict what we predict, at these times as the network sees them. */
async function compare(
  engine: Engine,
  { python, tensorflow }: Pythons,
  recipe: Recipe,
  times: readonly number[],
): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-interop-'));
  try {
    const table = parameterTable(recipe.model);
    const state = stateOf(recipe, table);
    const model = z.json().parse(JSON.parse(JSON.stringify(recipe)));
    await new DirectoryStore(folder).publish({ runId: 'interop', state, table, model, arithmetic: 2, createdAt: 0 });
    const expected = join(folder, 'expected.safetensors');
    writeFileSync(expected, Buffer.concat(encodeSafetensors(predictionOf(engine, recipe, state.ema, times), {})));
    const same = ran(python, script('compare.py'), join(folder, checkpointFolder(STEP)), expected);
    if (tensorflow === undefined) return same;
    const exported = join(folder, 'exported');
    mkdirSync(exported);
    writeFileSync(join(exported, 'saved_model.pb'), savedPrediction(engine, recipe, state.ema, IMAGES));
    return ran(tensorflow, script('saved_model.py'), exported, expected) && same;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { tensorflow: { type: 'string' } } });
  const python = peerPython();
  if (python === undefined || versionsOf(python, ['torch', 'safetensors']) === null) {
    console.error('no Python with torch and safetensors\n  fix: npm run bench:peers');
    return 1;
  }
  const setting = { device: 'cpu', threads: 1 } as const;
  Object.assign(process.env, engineEnvironment(setting));
  const engine = loadEngine({ ...setting, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)) });
  const pythons = { python, tensorflow: values.tensorflow };
  // What each network sees of the timesteps 1, 500 and 1000.
  const same = [
    await compare(engine, pythons, recipeOf({ preset: 'default' }), [1, 500, 1000]),
    await compare(engine, pythons, recipeOf({ preset: 'default', classes: 0 }), [1, 500, 1000]),
    await compare(engine, pythons, recipeOf({ preset: 'seed' }), [0.001, 0.5, 1]),
    await compare(engine, pythons, inColour('default', 48), [1, 500, 1000]),
    await compare(engine, pythons, inColour('seed', 45), [0.001, 0.5, 1]),
  ];
  return same.every(Boolean) ? 0 : 1;
}

process.exitCode = await main();
