/** A task in a file, as a user writes one: a line through points. Its gradient comes in one piece. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { RunSettings } from '@lockstep/comm';
import { taskHere } from '#src/compute/run-here.js';
import { openTask } from '@lockstep/catalog';
import type { Task } from '@lockstep/task';

/** @param loss what `loss` returns, of the error of each point */
export function lineFile(loss = '{ loss: error.square().mean(), figures: { distance: error.abs().mean() } }'): string {
  return `
export default { name: 'line', create: () => ({
  steps: 20, globalBatch: 8, microbatchSize: 4,
  parameters: [
    { name: 'slope', shape: [1], init: 'ones' },
    { name: 'height', shape: [1], init: 'zeros' },
  ],
  optimizer: { learningRate: 0.1 },
  figures: ['distance'],
  open: () => ({
    count: 40,
    inputs: [{ name: 'x', shape: [], dtype: 'float32' }],
    batch: (indices) => [Float32Array.from(indices, (index) => index / 40)],
  }),
  loss: ({ weights, inputs: { x } }) => {
    const error = x.mul(weights.slope).add(weights.height).sub(x.mul(3).add(1));
    return ${loss};
  },
}) };`;
}

const folders: string[] = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));

/** Writes it into a folder of its own. Returns its path. */
export function taskFile(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-line-'));
  folders.push(folder);
  const file = join(folder, 'line.mjs');
  writeFileSync(file, text);
  return file;
}

/** The settings of a run of the task in this file. */
export async function settingsOf(file: string): Promise<{ settings: RunSettings; task: Task }> {
  const { code } = await openTask(file);
  const reference = { module: file, code: { ...code } };
  const { task } = await taskHere({ task: reference, recipe: { options: {}, given: {} } });
  const { digest: dataDigest } = await task.open(null, 'train');
  const { recipe } = task;
  return {
    task,
    settings: {
      ...{ task: reference, data: null, seed: 3, recipe, dataDigest },
      ...{ wire: 'int32', arithmetic: 2, engine: 'tensorflow', checkpointEvery: 2 },
    },
  };
}
