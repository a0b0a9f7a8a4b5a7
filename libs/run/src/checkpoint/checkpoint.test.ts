import assert from 'node:assert/strict';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ARITHMETICS } from '@lockstep/base';
import { DirectoryStore, type PublishRequest } from '#src/checkpoint/checkpoint.js';
import { CheckpointError } from '#src/errors.js';
import { FailingFs } from '../failing-fs.fixture.js';
import { arithmeticOf } from '#src/checkpoint/manifest.js';
import { stateDigest } from '#src/checkpoint/state.js';

const table = [
  { name: 'conv/kernel', shape: [2, 2], offset: 0, size: 4 },
  { name: 'bias', shape: [], offset: 4, size: 1 },
];

function request(step: number, changes: Partial<PublishRequest> = {}): PublishRequest {
  const array = (salt: number): Float32Array =>
    Float32Array.from({ length: 5 }, (_, i) => Math.fround(step + salt + i / 7));
  const state = { step, weights: array(1), expAvg: array(2), expAvgSq: array(3), ema: array(4) };
  return {
    runId: 'run-a',
    state,
    table,
    model: { base: 32, levels: [1, 2] },
    arithmetic: 2,
    generation: 3,
    createdAt: 1_700_000_000_000,
    ...changes,
  };
}

async function folder(context: TestContext): Promise<string> {
  const path = await fs.mkdtemp(join(tmpdir(), 'lockstep-checkpoint-'));
  context.after(() => fs.rm(path, { recursive: true, force: true }));
  return join(path, 'checkpoints');
}

const hasCode = (code: string) => (error: unknown) => error instanceof CheckpointError && error.code === code;

test('a checkpoint says which arithmetic its digest is in, but for the first, which is not said as it was not', async (context) => {
  const store = new DirectoryStore(await folder(context));
  for (const arithmetic of ARITHMETICS) {
    const given = request(arithmetic, { arithmetic });
    const { manifest } = await store.publish(given);
    assert.equal(manifest.stateDigest, stateDigest(given.state, arithmetic));
    assert.equal('arithmetic' in manifest, arithmetic === 2);
    assert.equal(arithmeticOf((await store.read(arithmetic)).manifest), arithmetic);
  }
  const [one, two] = ARITHMETICS.map((arithmetic) => stateDigest(request(0).state, arithmetic));
  assert.notEqual(one, two);
});

test('a published checkpoint is read back with all it held', async (context) => {
  const root = await folder(context);
  const store = new DirectoryStore(root);
  const given = request(1200);
  const { published, manifest } = await store.publish(given);
  assert.equal(published, true);
  assert.equal(manifest.stateDigest, stateDigest(given.state, 2));
  const { checkpoint, skipped } = await new DirectoryStore(root).newest();
  assert.ok(checkpoint);
  assert.deepEqual(checkpoint.state, given.state);
  assert.deepEqual(checkpoint.table, table);
  assert.deepEqual(checkpoint.manifest, manifest);
  assert.deepEqual(manifest.model, given.model);
  assert.deepEqual(skipped, []);
  assert.deepEqual((await fs.readdir(join(root, 'step-00001200'))).sort(), [
    'ema.safetensors',
    'manifest.json',
    'model.safetensors',
    'optimizer.safetensors',
  ]);
});

test('an empty or missing folder has no checkpoint', async (context) => {
  const store = new DirectoryStore(await folder(context));
  assert.deepEqual(await store.newest(), { checkpoint: undefined, skipped: [] });
  await assert.rejects(store.read(5), hasCode('E_CHECKPOINT_MISSING'));
});

test('publishing the same state again is a no-op, another state at that step a conflict', async (context) => {
  const store = new DirectoryStore(await folder(context));
  await store.publish(request(5));
  const again = await store.publish(request(5, { generation: 9, createdAt: 1_800_000_000_000 }));
  assert.equal(again.published, false);
  assert.equal(again.manifest.generation, 3);
  await assert.rejects(
    store.publish(request(5, { state: { ...request(6).state, step: 5 } })),
    hasCode('E_CHECKPOINT_CONFLICT'),
  );
  await assert.rejects(store.publish(request(5, { runId: 'run-b' })), hasCode('E_CHECKPOINT_CONFLICT'));
  await assert.rejects(store.publish(request(5, { model: {} })), hasCode('E_CHECKPOINT_CONFLICT'));
  assert.deepEqual((await store.read(5)).state, request(5).state);
});

test('a state that does not fit the table is refused before anything is written', async (context) => {
  const root = await folder(context);
  await assert.rejects(
    new DirectoryStore(root).publish(request(5, { table: table.slice(0, 1) })),
    hasCode('E_STATE_TABLE'),
  );
  await assert.rejects(fs.readdir(root), { code: 'ENOENT' });
});

const damage: [string, RegExp, (path: string) => Promise<void>][] = [
  ['a missing file', /ema.safetensors is missing/, (path) => fs.rm(join(path, 'ema.safetensors'))],
  ['a missing manifest', /manifest.json is missing/, (path) => fs.rm(join(path, 'manifest.json'))],
  ['a truncated file', /instead of/, (path) => fs.truncate(join(path, 'model.safetensors'), 40)],
  ['a flipped bit in a tensor', /sha256/, (path) => flipLastBit(join(path, 'optimizer.safetensors'))],
  ['a cut manifest', /not JSON/, (path) => fs.truncate(join(path, 'manifest.json'), 100)],
  ['an empty manifest', /not JSON/, (path) => fs.truncate(join(path, 'manifest.json'), 0)],
  [
    'a manifest of another shape',
    /not valid/,
    (path) => fs.writeFile(join(path, 'manifest.json'), '{"format":"lockstep-checkpoint","version":2}'),
  ],
  [
    'an edited manifest',
    /own sha256/,
    async (path) => {
      const file = join(path, 'manifest.json');
      await fs.writeFile(file, (await fs.readFile(file, 'utf8')).replace('"base": 32', '"base": 64'));
    },
  ],
];

async function flipLastBit(path: string): Promise<void> {
  const bytes = await fs.readFile(path);
  bytes[bytes.length - 1] ^= 1;
  await fs.writeFile(path, bytes);
}

for (const [what, reason, breakIt] of damage) {
  test(`newest passes over a checkpoint with ${what}, says why, and publishing repairs it`, async (context) => {
    const root = await folder(context);
    await new DirectoryStore(root).publish(request(1));
    await new DirectoryStore(root).publish(request(2));
    await breakIt(join(root, 'step-00000002'));
    const store = new DirectoryStore(root);
    const { checkpoint, skipped } = await store.newest();
    assert.equal(checkpoint?.manifest.step, 1);
    assert.equal(skipped.length, 1);
    assert.equal(skipped[0].step, 2);
    assert.equal(skipped[0].code, 'E_CHECKPOINT_CORRUPT');
    assert.match(skipped[0].reason, reason);
    assert.equal((await store.publish(request(2))).published, true);
    assert.deepEqual((await store.read(2)).state, request(2).state);
    assert.deepEqual(await store.sweep(), []);
  });
}

test('a checkpoint renamed to another step is not taken for that step', async (context) => {
  const root = await folder(context);
  await new DirectoryStore(root).publish(request(1));
  await fs.rename(join(root, 'step-00000001'), join(root, 'step-00000009'));
  const { checkpoint, skipped } = await new DirectoryStore(root).newest();
  assert.equal(checkpoint, undefined);
  assert.match(skipped[0].reason, /manifest is of step 1/);
});

test('prune keeps the newest whole checkpoints; broken ones do not count', async (context) => {
  const root = await folder(context);
  for (const step of [1, 2, 3, 4]) await new DirectoryStore(root).publish(request(step));
  await flipLastBit(join(root, 'step-00000004', 'ema.safetensors'));
  const store = new DirectoryStore(root);
  assert.deepEqual(await store.prune(2), [1]);
  assert.deepEqual(await store.list(), [2, 3, 4]);
  await assert.rejects(store.prune(0), hasCode('E_CHECKPOINT_KEEP'));
});

test('left-over temporary folders are ignored, and removed by sweep', async (context) => {
  const root = await folder(context);
  const store = new DirectoryStore(root);
  await store.publish(request(1));
  await fs.mkdir(join(root, '.tmp-step-00000002-abc'));
  await fs.writeFile(join(root, '.tmp-step-00000002-abc', 'model.safetensors'), 'half');
  await fs.mkdir(join(root, 'step-2'));
  assert.deepEqual(await store.list(), [1]);
  assert.deepEqual(await store.sweep(), ['.tmp-step-00000002-abc']);
  assert.deepEqual((await fs.readdir(root)).sort(), ['step-00000001', 'step-2']);
});

/** Publishes step 1, then step 2 on a failing disk; returns 'published' or the error. */
async function publishOn(root: string, disk: FailingFs): Promise<unknown> {
  await new DirectoryStore(root).publish(request(1));
  return new DirectoryStore(root, { disk }).publish(request(2)).then(
    () => 'published',
    (error: unknown) => error,
  );
}

test('every byte and every name is synced before the next thing relies on it', async (context) => {
  const disk = new FailingFs({ at: Infinity, kind: 'crash', code: 'EIO' });
  assert.equal(await publishOn(await folder(context), disk), 'published');
  const file = ['createFile', 'write', 'sync', 'close'];
  const written = disk.log.join(' ').replaceAll(/(write )+/g, 'write ');
  assert.equal(
    written,
    [
      'makeFolder list makeFolder',
      ...Array<string>(4).fill(file.join(' ')),
      'syncFolder rename syncFolder syncFolder',
    ].join(' '),
  );
});

for (const kind of ['crash', 'error'] as const) {
  test(`${kind} at any single operation of a publish leaves the old checkpoint or the new one, whole`, async (context) => {
    const counter = new FailingFs({ at: Infinity, kind, code: 'EIO' });
    await publishOn(await folder(context), counter);
    const seen = new Set<number>();
    for (let at = 0; at < counter.operations; at += 1) {
      const root = await folder(context);
      const outcome = await publishOn(root, new FailingFs({ at, kind, code: 'EIO' }));
      assert.ok(outcome instanceof CheckpointError, `operation ${at} (${counter.log[at]}) must fail the publish`);
      const { checkpoint, skipped } = await new DirectoryStore(root).newest();
      assert.deepEqual(skipped, [], `operation ${at}`);
      assert.ok(checkpoint);
      assert.deepEqual(checkpoint.state, request(checkpoint.state.step).state);
      seen.add(checkpoint.state.step);
      if (kind === 'error')
        assert.deepEqual(await new DirectoryStore(root).sweep(), [], `operation ${at} left a temporary folder`);
      // Whatever was left, the next try on a healthy disk succeeds.
      const healed = new DirectoryStore(root);
      await healed.sweep();
      await healed.publish(request(2));
      assert.equal((await healed.newest()).checkpoint?.state.step, 2);
    }
    assert.deepEqual([...seen].sort(), [1, 2]);
  });
}

test('a full disk gives E_CHECKPOINT_WRITE, removes what was begun and leaves older checkpoints alone', async (context) => {
  const root = await folder(context);
  const counter = new FailingFs({ at: Infinity, kind: 'error', code: 'ENOSPC' });
  await publishOn(await folder(context), counter);
  const disk = new FailingFs({ at: counter.log.lastIndexOf('write'), kind: 'error', code: 'ENOSPC' });
  const outcome = await publishOn(root, disk);
  assert.ok(hasCode('E_CHECKPOINT_WRITE')(outcome));
  assert.match(String(outcome), /ENOSPC.*free space/);
  assert.deepEqual(await fs.readdir(root), ['step-00000001']);
});

test('a checkpoint that cannot be read is not taken for a broken one', async (context) => {
  const root = await folder(context);
  await new DirectoryStore(root).publish(request(1));
  const store = new DirectoryStore(root, { disk: new FailingFs({ at: 2, kind: 'error', code: 'EACCES' }) });
  await assert.rejects(store.read(1), hasCode('E_CHECKPOINT_READ'));
});
