import assert from 'node:assert/strict';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ARITHMETICS, type Arithmetic } from '@lockstep/base';
import { checkpointFolder, DirectoryStore, type Checkpoint } from '#src/checkpoint/checkpoint.js';
import { hasCode, ledgerFolder, opened } from '../ledger/ledger.fixture.js';
import { Ledger } from '#src/ledger/ledger.js';
import type { LedgerEntry } from '#src/ledger/ledger-entry.js';
import { openDatabase } from '#src/ledger/ledger-reader.js';
import { stateDigest } from '#src/checkpoint/state.js';
import { ORIGIN_KEY, VERSION_KEY } from '#src/ledger/ledger-records.js';
import { keepOrigin, originOf, readOrigin } from '#src/record/origin.js';
import { runPaths } from '#src/record/run.js';

const ORIGIN = { runId: 'run-0', step: 600, digest: 'a'.repeat(64) };
const ENTRY: LedgerEntry = {
  step: 0,
  generation: 1,
  plan: ['w'],
  losses: [1],
  samples: ['0'.repeat(16)],
  skipped: false,
  digest: 'd'.repeat(64),
  at: 1,
};

test('a ledger keeps its origin: recorded once, before the first step, and never another one', async (context) => {
  const path = await ledgerFolder(context);
  const ledger = await Ledger.open(path);
  assert.equal(ledger.origin(), null);
  await ledger.setOrigin(null);
  await ledger.setOrigin(ORIGIN);
  await ledger.setOrigin(ORIGIN);
  await ledger.append(ENTRY);
  await assert.rejects(ledger.setOrigin({ ...ORIGIN, step: 1 }), hasCode('E_LEDGER_ORIGIN'));
  await assert.rejects(ledger.setOrigin(null), hasCode('E_LEDGER_ORIGIN'));
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 1 });
  await ledger.close();
  const reader = await Ledger.openReader(path);
  assert.deepEqual(reader.origin(), ORIGIN);
  await reader.close();

  const plain = await opened(context, await ledgerFolder(context));
  await plain.append(ENTRY);
  await assert.rejects(plain.setOrigin(ORIGIN), hasCode('E_LEDGER_ORIGIN'), 'the chain has begun without it');
});

test('the chain starts from the origin, so one that was changed or taken away breaks it', async (context) => {
  for (const changed of [{ ...ORIGIN, step: 601 }, undefined]) {
    const path = await ledgerFolder(context);
    const ledger = await Ledger.open(path);
    await ledger.setOrigin(ORIGIN);
    await ledger.append(ENTRY);
    await ledger.close();
    const database = openDatabase(path, 'write');
    assert.equal(database.get(VERSION_KEY), 3, 'a build that knows of no origin must not go on with it');
    if (changed === undefined) await database.remove(ORIGIN_KEY);
    else await database.put(ORIGIN_KEY, changed);
    await database.close();
    await assert.rejects(Ledger.openReader(path), /E_LEDGER_CORRUPT.*the chain breaks at step 0/);
  }
});

async function checkpointOf(
  context: TestContext,
  step: number,
  arithmetic: Arithmetic = 2,
): Promise<{ root: string; checkpoint: Checkpoint }> {
  const root = dirname(await ledgerFolder(context));
  const array = (value: number): Float32Array => new Float32Array(3).fill(value);
  const store = new DirectoryStore(join(root, 'parent'));
  await store.publish({
    runId: 'run-0',
    state: { step, weights: array(1), expAvg: array(2), expAvgSq: array(3), ema: array(4) },
    table: [{ name: 'w', shape: [3], offset: 0, size: 3 }],
    model: { kind: 'some' },
    arithmetic,
    generation: 7,
    createdAt: 5,
  });
  return { root, checkpoint: await store.read(step) };
}

test("the other run's state is kept whole in the new run's folder, whatever a try before it left there", async (context) => {
  const earlier = await checkpointOf(context, 3);
  for (const arithmetic of ARITHMETICS) {
    const { root, checkpoint } = await checkpointOf(context, 6, arithmetic);
    await keepOrigin(root, earlier.checkpoint, 'axes');
    await keepOrigin(root, checkpoint, 'axes');
    await fs.rm(join(root, 'parent'), { recursive: true });
    assert.deepEqual(await fs.readdir(runPaths(root).origin), [checkpointFolder(6)]);
    const origin = originOf(checkpoint);
    assert.deepEqual(origin, { runId: 'run-0', step: 6, digest: stateDigest(checkpoint.state, arithmetic) });
    assert.deepEqual(await readOrigin(root, origin), checkpoint.state);
  }
});

test('an origin that is missing, damaged or another one is told as that', async (context) => {
  const { root, checkpoint } = await checkpointOf(context, 6);
  const origin = originOf(checkpoint);
  await assert.rejects(readOrigin(root, origin), hasCode('E_ORIGIN_STATE'));
  await keepOrigin(root, checkpoint, 'axes');
  for (const other of [{ digest: 'b'.repeat(64) }, { runId: 'run-1' }, { step: 7 }])
    await assert.rejects(readOrigin(root, { ...origin, ...other }), hasCode('E_ORIGIN_STATE'));
  await fs.truncate(join(runPaths(root).origin, checkpointFolder(6), 'ema.safetensors'), 9);
  await assert.rejects(readOrigin(root, origin), /E_ORIGIN_STATE: .*step 6 of run run-0.*9 bytes/);
});
