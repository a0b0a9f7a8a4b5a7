import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadConfig } from '@lockstep/config';
import { systemClocks } from './clocks.js';
import { openCoordinator, type Surroundings } from './open.js';

type Recipe = Record<string, unknown> & { model: Record<string, unknown> };
type Stored = { config: Record<string, unknown> & { data?: string; recipe: Recipe } };

async function openedAndClosed(
  out: string,
  flags: Record<string, string>,
  more: Pick<Surroundings, 'tell'> = {},
): Promise<void> {
  const config = loadConfig({ schema: 'run', env: {}, flags: { preset: 'tiny', port: '0', out, ...flags } });
  const surroundings = {
    clocks: systemClocks,
    freshRunId: 'test',
    report: () => undefined,
    warn: () => undefined,
    ...more,
  };
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

test('what the data is is told at each start and stored with the run, but it is the digest that is compared on resume', async (context) => {
  const out = join(folder(context), 'run');
  const told: string[] = [];
  const tell = (text: string): unknown => told.push(text);
  await openedAndClosed(out, {}, { tell });
  const record: Stored & { dataset?: unknown } = recordOf(out);
  const classNames = Array.from({ length: 10 }, (_, digit) => String(digit));
  assert.deepEqual(record.dataset, { count: 60_000, classNames });
  writeFileSync(join(out, 'run.json'), JSON.stringify({ ...record, dataset: { count: 60_000, classNames: ['zero'] } }));
  await openedAndClosed(out, {}, { tell });
  writeFileSync(join(out, 'run.json'), JSON.stringify(without(record, 'dataset')));
  await openedAndClosed(out, {}, { tell });
  assert.equal(told.length, 3);
  assert.match(told[0], /^data: 60000 images of 28x28, 10 classes \(0 1 2 3 4 5 6 7 8 9\), digest [0-9a-f]{12}$/);
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
