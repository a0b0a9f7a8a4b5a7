import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Ledger } from '@lockstep/run';
import { MAX_SUMMANDS } from '@lockstep/exact';
import { loadConfig, loadGiven, type RunConfig } from '@lockstep/config';
import { askedRun } from '#src/edge/asked-run.js';
import { systemClocks } from '#src/decide/clocks.js';
import { HeldPort } from '#src/edge/held-port.js';
import { openCoordinator, type Surroundings } from '#src/edge/open.js';

type Recipe = Record<string, unknown> & { model: Record<string, unknown> };
type Stored = { config: Record<string, unknown> & { data?: string; recipe: Recipe } };

async function openedAndClosed(
  out: string,
  flags: Record<string, string>,
  more: Pick<Surroundings, 'tell'> = {},
): Promise<void> {
  const loaded = loadGiven({ schema: 'run', env: {}, flags: { port: '0', out, ...flags } });
  const surroundings = {
    clocks: systemClocks,
    freshRunId: randomUUID(),
    report: () => undefined,
    warn: () => undefined,
    ...more,
  };
  const server = await openCoordinator(loaded, surroundings);
  server.stop('the test is over');
  await server.finished;
}

function folder(context: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'lockstep-open-'));
  context.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const configOf = (flags: Record<string, string>): RunConfig => loadConfig({ schema: 'run', env: {}, flags });

/** Names and bytes of all files below a folder. LMDB notes readers in its lock file. */
function snapshot(root: string): [string, string][] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('-lock'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => [path, readFileSync(path, 'base64')]);
}

const recordOf = (out: string): Stored => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')) as Stored;

function without(of: object, ...keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(of).filter(([key]) => !keys.includes(key)));
}

const TINY = { preset: 'tiny' };

test('a run from before there was a choice of data, wire, arithmetic, engine, labels and predictions is resumed as what it was', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, TINY);
  const record = recordOf(out);
  assert.deepEqual([record.config['data'], record.config['wire']], ['mnist', 'int32']);
  const { recipe } = record.config;
  const older = { ...without(recipe, 'prediction', 'labelDrop'), model: without(recipe.model, 'classes') };
  const before = { ...record, version: 1, config: { ...TINY, recipe: older } };
  writeFileSync(join(out, 'run.json'), JSON.stringify(before));
  await openedAndClosed(out, {});
  const resumed = await askedRun(configOf({ out }), new Map());
  assert.deepEqual([resumed.arithmetic, resumed.engine], [1, 'tensorflow']);
  await openedAndClosed(out, { ...TINY, prediction: 'eps', wire: 'int32', classes: '0' });
  await assert.rejects(openedAndClosed(out, { prediction: 'v', wire: 'int16' }), {
    code: 'E_RUN_CONFLICT',
    message: /wire is "int32" there, "int16" was asked for .*; prediction is "eps" there, "v" was asked for/,
  });
});

test('a new run has the newest arithmetic and the engine that is asked for, and keeps both', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, { ...TINY, engine: 'program' });
  const kinds = ({ config }: Stored): unknown[] => [config['arithmetic'], config['engine']];
  assert.deepEqual(kinds(recordOf(out)), [2, 'program']);
  await openedAndClosed(out, { engine: 'program' });
  const { arithmetic, engine } = await askedRun(configOf({ out }), new Map());
  assert.deepEqual([arithmetic, engine], [2, 'program']);
  await assert.rejects(openedAndClosed(out, { engine: 'tensorflow' }), {
    code: 'E_RUN_CONFLICT',
    message: /engine is "program" there, "tensorflow" was asked for/,
  });
});

test('of a run that is there only what was given is compared, and all that differs is told at once', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, { ...TINY, seed: '5', steps: '7', learningRate: '0.25' });
  const before = readFileSync(join(out, 'run.json'), 'utf8');
  await openedAndClosed(out, {});
  await openedAndClosed(out, { seed: '5', learningRate: '0.25', auditRate: '0.5', heartbeatTimeoutMs: '600' });
  const asked = { preset: 'default', seed: '0', steps: '8', learningRate: 'null', microbatchSize: '4' };
  await assert.rejects(openedAndClosed(out, asked), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'E_RUN_CONFLICT');
    for (const difference of [
      'preset is "tiny" there, "default" was asked for (flag --preset)',
      'seed is 5 there, 0 was asked for (flag --seed)',
      'steps is 7 there, 8 was asked for (flag --steps)',
      'learningRate is 0.25 there, 0.001 was asked for (flag --learning-rate)',
      `start a new run from this one: --from ${out}`,
    ])
      assert.ok(error.message.includes(difference), `${error.message} must say: ${difference}`);
    assert.ok(!error.message.includes('microbatchSize'), 'that is as in the run');
    return true;
  });
  assert.equal(readFileSync(join(out, 'run.json'), 'utf8'), before);
});

test('how many classes the data has is compared too, where that is asked for', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, { preset: 'default', classes: '0' });
  await assert.rejects(openedAndClosed(out, { classes: 'null' }), { message: /classes is 0 there, 10 was asked for/ });
});

test('what the data is is told at each start and stored with the run, but it is the digest that is compared on resume', async (context) => {
  const out = join(folder(context), 'run');
  const told: string[] = [];
  const tell = (text: string): unknown => told.push(text);
  await openedAndClosed(out, TINY, { tell });
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

test('sizes that do not fit are told with where they come from, of each recipe: by flag, preset, run.json', async (context) => {
  const out = join(folder(context), 'run');
  const refused = (flags: Record<string, string>, message: RegExp): Promise<void> =>
    assert.rejects(openedAndClosed(out, flags), { code: 'E_CONFIG_CONFLICT', message });
  await refused(
    { ...TINY, globalBatch: '30' },
    /microbatchSize is 4 \(from the preset tiny\) and globalBatch is 30 \(from flag --global-batch\)/,
  );
  for (const [wire, most] of Object.entries(MAX_SUMMANDS)) {
    const many = { ...TINY, wire, microbatchSize: '1', globalBatch: String(most + 1) };
    await refused(
      many,
      new RegExp(`with ${wire} on the wire a step must not have more than ${most} microbatches, but wire is "${wire}"`),
    );
    assert.equal((await askedRun(configOf({ ...many, out, globalBatch: String(most) }), new Map())).wire, wire);
  }
  await refused(
    { ...TINY, microbatchSize: '1', globalBatch: '65537' },
    /wire is "int32" \(from the default\) and microbatchSize is 1 \(from flag/,
  );
  assert.equal(existsSync(out), false, 'nothing is written');
});

test('a start that fails leaves the folder as it was, and the next try works', async (context) => {
  const root = folder(context);
  const out = join(root, 'new', 'run');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  context.after(() => other.close());
  const port = String((other.address() as AddressInfo).port);
  const failures: [Record<string, string>, string][] = [
    [{ port }, 'E_PORT_IN_USE'],
    [{ host: '192.0.2.1' }, 'E_LISTEN'],
    [{ host: 'no-such-host.invalid' }, 'E_LISTEN'],
    [{ data: join(root, 'nowhere') }, 'E_DATA_MISSING'],
    [{ microbatchSize: '5' }, 'E_CONFIG_CONFLICT'],
    [{ labelDrop: '0.5' }, 'E_RECIPE'],
    [{ baseWidth: '7' }, 'E_MODEL_CONFIG'],
    [{ from: join(root, 'nowhere') }, 'E_RUN_MISSING'],
  ];
  for (const [flags, code] of failures) {
    await assert.rejects(openedAndClosed(out, { ...TINY, ...flags }), { code }, JSON.stringify(flags));
    assert.deepEqual(readdirSync(root), [], code);
  }
  await openedAndClosed(out, TINY);
  const before = snapshot(out);
  await assert.rejects(openedAndClosed(out, { port }), { code: 'E_PORT_IN_USE' });
  assert.deepEqual(snapshot(out), before);
});

test('a run directory that cannot be made is told by what is in the way', async (context) => {
  const root = folder(context);
  writeFileSync(join(root, 'file'), '');
  symlinkSync(join(root, 'gone'), join(root, 'link'));
  const refused = (name: string, message: RegExp): Promise<void> =>
    assert.rejects(openedAndClosed(join(root, name), TINY), { code: 'E_RUN_WRITE', message });
  await refused('file', /file is a file; choose another --out/);
  await refused('link', /link is a link to .*gone, which is not there; make that folder/);
});

test('a ledger without a run.json is not gone on with as a new run', async (context) => {
  const out = join(folder(context), 'run');
  await openedAndClosed(out, TINY);
  rmSync(join(out, 'run.json'));
  await openedAndClosed(out, TINY);
  const ledger = await Ledger.open(join(out, 'ledger'));
  const mean = { plan: ['w'], losses: [1], samples: ['0'.repeat(16)] };
  await ledger.append({ step: 0, generation: 1, ...mean, skipped: false, digest: '0'.repeat(64), at: 1 });
  await ledger.close();
  rmSync(join(out, 'run.json'));
  await assert.rejects(openedAndClosed(out, TINY), { code: 'E_RUN_CORRUPT', message: /a ledger of 1 steps/ });
});

test('who asks before the run is open is answered once it is', async () => {
  const held = await HeldPort.take({ host: '127.0.0.1', port: 0 });
  const asked = fetch(`http://127.0.0.1:${held.port}/x`);
  await once(held.http, 'request');
  held.serve({ onRequest: (request, response) => response.end(request.url), onUpgrade: () => undefined });
  assert.equal(await (await asked).text(), '/x');
  held.close();
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
