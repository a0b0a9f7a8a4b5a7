/** A run of a task of the user's own, as its coordinator opens it: no engine is there. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadGiven } from '@lockstep/config';
import { readRun, storedRun, type StoredRun } from '@lockstep/run';
import { systemClocks } from '#src/decide/clocks.js';
import { openCoordinator } from '#src/edge/open.js';

const LINE = `
import { readFileSync } from 'node:fs';
import { COUNT } from './count.mjs';
export default { name: 'line', options: { width: 1 }, create: ({ options }) => ({
  steps: 3, globalBatch: 4, microbatchSize: 2,
  parameters: [{ name: 'slope', shape: [options.width], init: 'ones' }],
  optimizer: { learningRate: 0.1 },
  open: ({ source, lockstep }) => ({
    count: COUNT,
    digest: source === null ? 'none' : readFileSync(source, 'utf8'),
    inputs: [{ name: 'x', shape: [], dtype: 'float32' }],
    batch: (indices) => [Float32Array.from(indices)],
  }),
  loss: () => { throw new Error('the coordinator builds no graph'); },
}) };`;

class Folder {
  readonly root = mkdtempSync(join(tmpdir(), 'lockstep-own-'));
  readonly task = join(this.root, 'task.mjs');
  readonly out = join(this.root, 'run');

  constructor(context: TestContext) {
    context.after(() => rmSync(this.root, { recursive: true, force: true }));
    this.write('task.mjs', LINE);
    this.write('count.mjs', 'export const COUNT = 8;');
  }

  write(name: string, text: string): string {
    writeFileSync(join(this.root, name), text);
    return join(this.root, name);
  }

  /** Opens the run and stops it at once. */
  async open(flags: Record<string, string | string[]>, out = this.out): Promise<StoredRun> {
    const server = await openCoordinator(loadGiven({ schema: 'run', env: {}, flags: { port: '0', out, ...flags } }), {
      clocks: systemClocks,
      freshRunId: randomUUID(),
      report: () => undefined,
      warn: () => undefined,
    });
    server.stop('the test is over');
    await server.finished;
    return storedRun(await readRun(out), out);
  }
}

test('its code, options and sizes are frozen in run.json, and it goes on from there', async (context) => {
  const own = new Folder(context);
  const stored = await own.open({ task: own.task, option: ['width=2'], steps: '5' });
  assert.equal(stored.task.module, own.task);
  assert.deepEqual(Object.keys(stored.task.code), ['count.mjs', 'task.mjs']);
  assert.deepEqual([stored.preset, stored.data, stored.steps, stored.globalBatch], [null, null, 5, 4]);
  assert.deepEqual(stored.recipe, { options: { width: 2 }, given: { steps: 5 } });
  assert.deepEqual(await own.open({}), stored);
  assert.deepEqual(await own.open({ task: own.task, option: ['width=2.0'], steps: '5' }), stored);
  for (const flags of [{ option: ['width=3'] }, { steps: '6' }, { globalBatch: '8' }, { task: 'diffusion' }])
    await assert.rejects(own.open(flags), { code: 'E_RUN_CONFLICT' });
  await assert.rejects(own.open({ option: ['height=3'] }), { code: 'E_TASK_OPTION' });
});

test('other code is refused, with the files that differ; the same code may lie elsewhere', async (context) => {
  const own = new Folder(context);
  const stored = await own.open({ task: own.task });
  own.write('count.mjs', 'export const COUNT = 9;');
  await assert.rejects(own.open({}), { code: 'E_TASK_CODE', message: /count\.mjs is another/ });
  const moved = new Folder(context);
  assert.deepEqual(await own.open({ task: moved.task }), stored);
  rmSync(own.task);
  await assert.rejects(own.open({}), { code: 'E_TASK_MISSING' });
});

test('its data is where --data says, and must stay what it was', async (context) => {
  const own = new Folder(context);
  const [data, copy] = [own.write('points.txt', 'a'), own.write('copy.txt', 'a')];
  assert.equal((await own.open({ task: own.task, data })).data, data);
  await own.open({ data: copy });
  await assert.rejects(own.open({ data: own.write('other.txt', 'b') }), { code: 'E_DATA_CHANGED' });
  rmSync(data);
  await assert.rejects(own.open({}), { code: 'E_DATA_MISSING' });
});

test('a run starts from another only where its network is that one', async (context) => {
  const own = new Folder(context);
  await own.open({ task: own.task });
  const next = join(own.root, 'next');
  await assert.rejects(own.open({ from: own.out, option: ['width=2'] }, next), { code: 'E_ORIGIN_NETWORK' });
  // The run is of this network, and has trained nothing yet.
  await assert.rejects(own.open({ from: own.out, steps: '9' }, next), { code: 'E_ORIGIN_CHECKPOINT' });
});

test('keys that only diffusion has, and sizes that do not fit, are refused before anything is written', async (context) => {
  const own = new Folder(context);
  for (const flags of [{ preset: 'tiny' }, { classes: '3' }, { evaluateEvery: '1' }])
    await assert.rejects(own.open({ task: own.task, ...flags }), { code: 'E_CONFIG_CONFLICT' });
  await assert.rejects(own.open({ option: ['width=2'] }), { code: 'E_CONFIG_CONFLICT' });
  await assert.rejects(own.open({ task: own.task, microbatchSize: '3' }), {
    code: 'E_TASK_CREATE',
    message: /do not divide/,
  });
  assert.equal(existsSync(own.out), false);
});
