import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadConfig } from '@lockstep/config';
import { systemClocks } from './clocks.js';
import { openCoordinator } from './open.js';

type Recipe = Record<string, unknown> & { model: Record<string, unknown> };
type Stored = { config: Record<string, unknown> & { data?: string; recipe: Recipe } };

async function openedAndClosed(out: string, flags: Record<string, string>): Promise<void> {
  const config = loadConfig({ schema: 'run', env: {}, flags: { preset: 'tiny', port: '0', out, ...flags } });
  const surroundings = { clocks: systemClocks, freshRunId: 'test', report: () => undefined, warn: () => undefined };
  const server = await openCoordinator(config, surroundings);
  server.stop('the test is over');
  await server.finished;
}

function folder(context: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'lockstep-open-'));
  context.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const recordOf = (out: string): Stored => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as Stored;

function without(of: object, ...keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(of).filter(([key]) => !keys.includes(key)));
}

test('a run from before there was a choice of data, wire, labels and predictions is resumed as what it was', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, {});
  const record = recordOf(out);
  assert.deepEqual([record.config['data'], record.config['wire']], ['mnist', 'int32']);
  const { recipe } = record.config;
  const older = { ...without(recipe, 'prediction', 'labelDrop'), model: without(recipe.model, 'classes') };
  const before = { ...record, config: { ...without(record.config, 'data', 'wire'), recipe: older } };
  writeFileSync(join(out, 'run.json'), JSON.stringify(before));
  await openedAndClosed(out, {});
  await assert.rejects(openedAndClosed(out, { prediction: 'v' }), { code: 'E_RUN_CONFLICT' });
  await assert.rejects(openedAndClosed(out, { wire: 'int16' }), { code: 'E_RUN_CONFLICT', message: /config\.wire/ });
});

test('a run keeps its wire', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, { wire: 'int16' });
  await openedAndClosed(out, { wire: 'int16' });
  const message = /config\.wire is "int16" in .* but "int32" was asked for/;
  await assert.rejects(openedAndClosed(out, {}), { code: 'E_RUN_CONFLICT', message });
});

test('a network that is given labels is made for the classes of its data', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, { preset: 'default' });
  assert.equal(recordOf(out).config.recipe.model['classes'], 10);
  const without = join(folder(context), 'run');
  await openedAndClosed(without, { preset: 'default', classes: '0' });
  assert.deepEqual(
    [recordOf(without).config.recipe.model['classes'], recordOf(without).config.recipe['labelDrop']],
    [0, 0],
  );
});
