import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { configToStore } from '@lockstep/run';
import { mustBeAble } from '#src/ability.js';

const ABILITIES = ['sample', 'evaluate', 'export'] as const;

/** A folder with the record of a run of this task. */
function runOf(context: TestContext, module: (folder: string) => string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-ability-'));
  context.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'task.mjs'), "export default { can: ['sample'], create() {} };");
  const sizes = { steps: 1, globalBatch: 1, microbatchSize: 1 };
  const task = { module: module(folder), code: {} };
  const kinds = { wire: 'int32', arithmetic: 2, engine: 'program' } as const;
  const config = configToStore({ task, preset: null, data: null, ...kinds, ...sizes, recipe: {} });
  const record = { runId: 'r', seed: 0, dataDigest: 'd'.repeat(64), config, createdAt: 0 };
  writeFileSync(join(folder, 'run.json'), JSON.stringify({ format: 'lockstep-run', version: 1, ...record }));
  return folder;
}

test('diffusion can be drawn, judged and exported, and so can checkpoints without a record', async (context) => {
  for (const run of [runOf(context, () => 'diffusion'), '/no/such/run'])
    for (const ability of ABILITIES)
      assert.equal(await mustBeAble(run, ability), run === '/no/such/run' ? 'tensorflow' : 'program');
});

test('of another task that is refused which it does not say it can', async (context) => {
  const run = runOf(context, (folder) => join(folder, 'task.mjs'));
  await mustBeAble(run, 'sample');
  const cannot = {
    code: 'E_TASK_CANNOT',
    message: new RegExp(`task ${run}/task.mjs, and lockstep .*lockstep try ${run}`),
  };
  await assert.rejects(mustBeAble(run, 'evaluate'), cannot);
  await assert.rejects(mustBeAble(run, 'export'), cannot);
});
