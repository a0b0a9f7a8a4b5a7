import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { DIFFUSION, moduleName, openTask } from '#src/catalog.js';

test('without a name it is diffusion; what is no name of a task that comes along is the path of a file', () => {
  assert.equal(moduleName(null), DIFFUSION);
  assert.equal(moduleName('diffusion'), DIFFUSION);
  assert.equal(moduleName('./diffusion'), resolve('diffusion'));
  assert.equal(moduleName('/a/task.mjs'), '/a/task.mjs');
});

test('diffusion comes through the same door as a file, and is known by a version', async () => {
  const { module, code } = await openTask(DIFFUSION);
  assert.deepEqual(Object.keys(code), ['version']);
  const task = module.begin?.({ preset: 'tiny', steps: 3 });
  assert.ok(task !== undefined);
  assert.deepEqual([task.name, task.steps], ['diffusion', 3]);
  assert.deepEqual(module.create(task.recipe).recipe, task.recipe);
});

test('a file is known by the digests of its code, or by the version that it says', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-catalog-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'task.mjs');
  const versioned = join(folder, 'versioned.mjs');
  writeFileSync(file, 'export default { create() {} };');
  writeFileSync(versioned, "export default { version: '7', create() {} };");
  assert.match((await openTask(file)).code['task.mjs'], /^[0-9a-f]{64}$/);
  assert.deepEqual((await openTask(versioned)).code, { version: '7' });
  await assert.rejects(openTask(join(folder, 'none.mjs')), { code: 'E_TASK_MISSING' });
});
