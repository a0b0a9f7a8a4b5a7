import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { DirectoryStore } from '@lockstep/run';
import { killingFs } from './killing-fs.js';

/** Stands for the end of the process. */
class Killed extends Error {}

const state = {
  step: 1,
  weights: Float32Array.of(1, 2),
  expAvg: Float32Array.of(3, 4),
  expAvgSq: Float32Array.of(5, 6),
  ema: Float32Array.of(7, 8),
};
const request = {
  runId: 'r',
  state,
  table: [{ name: 'w', shape: [2], offset: 0, size: 2 }],
  model: {},
  arithmetic: 2,
  createdAt: 0,
} as const;

async function publish(folder: string, before: number): Promise<'published' | 'killed'> {
  let dead = false;
  const kill = (): never => {
    dead = true;
    throw new Killed();
  };
  const store = new DirectoryStore(join(folder, 'checkpoints'), { disk: killingFs(before, kill) });
  await store.publish(request).catch(() => undefined);
  return dead ? 'killed' : 'published';
}

test('each operation of a publication can be the one before which the process ends, until none is left', async (context) => {
  let before = 1;
  for (; ; before++) {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-killing-'));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    if ((await publish(folder, before)) === 'published') break;
  }
  // Four files of create, write, sync, close; before them two folders and a look; after them syncs and the rename.
  assert.ok(before > 20, `only ${before} operations`);
});

test('without a number the disk kills nobody', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-killing-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  assert.equal(await publish(folder, 0), 'published');
  assert.deepEqual(readdirSync(join(folder, 'checkpoints')), ['step-00000001']);
});
