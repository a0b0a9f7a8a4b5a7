import assert from 'node:assert/strict';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isJsonObject } from '@lockstep/base';
import { CheckpointError } from '#src/errors.js';
import { FailingFs } from '../failing-fs.fixture.js';
import { findRun, openRun, readRun, type RunRecord } from '#src/record/run.js';

const proposal: RunRecord = {
  runId: 'run-a',
  seed: 7,
  dataDigest: 'd'.repeat(64),
  config: { preset: 'tiny', batch: { global: 32, micro: 8 } },
  createdAt: 1_700_000_000_000,
};

async function folder(context: TestContext): Promise<string> {
  const path = await fs.mkdtemp(join(tmpdir(), 'lockstep-run-'));
  context.after(() => fs.rm(path, { recursive: true, force: true }));
  return join(path, 'run');
}

const hasCode = (code: string) => (error: unknown) => error instanceof CheckpointError && error.code === code;

test('a new run gets its folders and its record', async (context) => {
  const root = await folder(context);
  const { created, record, paths } = await openRun(root, proposal);
  assert.equal(created, true);
  assert.deepEqual(record, proposal);
  assert.deepEqual(await readRun(root), proposal);
  assert.deepEqual((await fs.readdir(root)).sort(), ['checkpoints', 'ledger', 'run.json']);
  assert.equal(paths.ledger, join(root, 'ledger'));
});

test('a record of version 1 is read, and what is new is written as version 2, which older builds refuse', async (context) => {
  const root = await folder(context);
  await openRun(root, proposal);
  const path = join(root, 'run.json');
  const written: unknown = JSON.parse(await fs.readFile(path, 'utf8'));
  assert.ok(isJsonObject(written));
  assert.equal(written['version'], 2);
  for (const [version, isRead] of [
    [1, true],
    [3, false],
  ] as const) {
    await fs.writeFile(path, JSON.stringify({ ...written, version }));
    if (isRead) assert.deepEqual(await readRun(root), proposal);
    else await assert.rejects(readRun(root), hasCode('E_RUN_CORRUPT'));
  }
});

test('an existing run keeps its record, whatever is proposed', async (context) => {
  const root = await folder(context);
  await openRun(root, proposal);
  const { created, record } = await openRun(root, { ...proposal, runId: 'run-b', seed: 8, createdAt: 9, config: {} });
  assert.equal(created, false);
  assert.deepEqual(record, proposal);
  assert.deepEqual(await findRun(root), proposal);
});

test('a run that starts from the state of another names it', async (context) => {
  const root = await folder(context);
  const origin = { runId: 'run-0', step: 600, digest: 'a'.repeat(64) };
  await openRun(root, { ...proposal, origin });
  assert.deepEqual((await readRun(root)).origin, origin);
});

test('what is in the way of a run directory is told, and what to do', async (context) => {
  const root = await folder(context);
  const parent = dirname(root);
  await fs.writeFile(join(parent, 'file'), '');
  await fs.symlink(join(parent, 'gone'), join(parent, 'link'));
  await fs.symlink(parent, join(parent, 'good'));
  const cases: [string, RegExp][] = [
    [join(parent, 'file'), /E_RUN_WRITE: the run directory .*file cannot be set up: .*file is a file; choose another/],
    [join(parent, 'file', 'run'), /E_RUN_WRITE.*file is a file/],
    [join(parent, 'link'), /E_RUN_WRITE.*link is a link to .*gone, which is not there/],
    // A folder that is there, and takes no other: making it must end.
    ['/proc/lockstep/run', /E_RUN_WRITE.*ENOENT/],
    [join(parent, 'link', 'run'), /E_RUN_WRITE.*link is a link to .*gone, which is not there/],
  ];
  for (const [path, says] of cases) {
    await assert.rejects(openRun(path, proposal), says);
    assert.equal(await findRun(path), null);
  }
  const failing = new FailingFs({ at: 0, kind: 'error', code: 'EROFS' });
  await assert.rejects(openRun(root, proposal, { disk: failing }), /E_RUN_WRITE.*EROFS.*, or choose another --out/);
  assert.equal((await openRun(join(parent, 'good', 'run'), proposal)).created, true);
});

test('of several openings at once one creates the run and all get the same record', async (context) => {
  const root = await folder(context);
  const runs = await Promise.all([1, 2, 3, 4].map((n) => openRun(root, { ...proposal, runId: `run-${n}` })));
  assert.equal(runs.filter(({ created }) => created).length, 1);
  assert.equal(new Set(runs.map(({ record }) => record.runId)).size, 1);
});

test('a missing or damaged record has its own error', async (context) => {
  const root = await folder(context);
  await assert.rejects(readRun(root), hasCode('E_RUN_MISSING'));
  await openRun(root, proposal);
  await fs.truncate(join(root, 'run.json'), 30);
  await assert.rejects(readRun(root), hasCode('E_RUN_CORRUPT'));
  await fs.writeFile(join(root, 'run.json'), '{}');
  await assert.rejects(openRun(root, proposal), hasCode('E_RUN_CORRUPT'));
  await fs.writeFile(join(root, 'run.json'), Buffer.from([0xff]));
  await assert.rejects(readRun(root), hasCode('E_RUN_CORRUPT'));
});

test('a record that the system does not let be read is not called damaged', async (context) => {
  const root = await folder(context);
  await fs.mkdir(join(root, 'run.json'), { recursive: true });
  await assert.rejects(readRun(root), (error: Error) => {
    assert.match(error.message, /^E_RUN_READ: .*run\.json cannot be read: EISDIR.*; check the path\.$/);
    return true;
  });
});

test('a crash at any operation leaves no run or a whole one', async (context) => {
  const counter = new FailingFs({ at: Infinity, kind: 'crash', code: 'EIO' });
  await openRun(await folder(context), proposal, { disk: counter });
  for (let at = 0; at < counter.operations; at += 1) {
    const root = await folder(context);
    const disk = new FailingFs({ at, kind: 'crash', code: 'EIO' });
    await openRun(root, proposal, { disk }).catch((error: unknown) => assert.ok(error instanceof CheckpointError));
    const found = await readRun(root).catch((error: unknown) => error);
    if (!hasCode('E_RUN_MISSING')(found)) assert.deepEqual(found, proposal, `operation ${at}`);
    assert.deepEqual((await openRun(root, proposal)).record, proposal);
  }
});
