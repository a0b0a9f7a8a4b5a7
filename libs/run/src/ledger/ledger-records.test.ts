import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { test } from 'node:test';
import { hasCode, ledgerFolder, opened } from './ledger.fixture.js';
import { Ledger } from '#src/ledger/ledger.js';
import { parseStored, type LedgerEntry } from '#src/ledger/ledger-entry.js';
import { openDatabase } from '#src/ledger/ledger-reader.js';
import { MAX_ADMITTED, recordKey, type Admission } from '#src/ledger/ledger-records.js';

const PROBE = 'a'.repeat(64);
const OTHER_PROBE = 'b'.repeat(64);
const ENGINE = { version: '2.16', threads: '1', device: 'cpu' };

/** `variant` gives another digest for the same step, as another order of float sums would. */
const entry = (step: number, variant = '0'): LedgerEntry => ({
  step,
  generation: 1,
  plan: ['w1', 'w2'],
  losses: [0.5, step],
  samples: ['0123456789abcdef', 'fedcba9876543210'],
  skipped: false,
  digest: step.toString(16).padStart(64, variant),
  at: 1_700_000_000_000 + step,
});
const admission = (step: number, worker: string): Admission => ({
  step,
  worker,
  probe: OTHER_PROBE,
  engine: { ...ENGINE, threads: '2' },
});

async function appendAll(ledger: Ledger, steps: readonly number[], variant?: string): Promise<void> {
  for (const step of steps) assert.equal(await ledger.append(entry(step, variant)), 'appended');
}

test('a step with a loss that is not finite is kept as skipped; so is one whose losses are finite', async (context) => {
  const path = await ledgerFolder(context);
  const first = await Ledger.open(path);
  const steps: LedgerEntry[] = [
    { ...entry(0), losses: [null, 1], skipped: true },
    { ...entry(1), skipped: true },
  ];
  for (const step of steps) await first.append(step);
  await first.close();
  const ledger = await opened(context, path);
  assert.deepEqual([...ledger.range(0, 9)], steps);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 2 });
});

test('the numerics class is kept as first recorded, and another one is refused', async (context) => {
  const path = await ledgerFolder(context);
  const first = await Ledger.open(path);
  assert.equal(first.numericsClass(), null);
  await first.setClass({ probe: PROBE, engine: ENGINE });
  await first.setClass({ probe: PROBE, engine: { ...ENGINE, version: '2.17' } });
  await assert.rejects(first.setClass({ probe: OTHER_PROBE, engine: ENGINE }), hasCode('E_LEDGER_CLASS'));
  await first.close();
  const ledger = await opened(context, path);
  assert.deepEqual(ledger.numericsClass(), { probe: PROBE, engine: ENGINE });
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 0 });
});

test('each admitted worker is recorded once, with the first step, and makes the run not reproducible from there', async (context) => {
  const path = await ledgerFolder(context);
  const first = await Ledger.open(path);
  await appendAll(first, [0, 1, 2]);
  assert.equal(first.notReproducibleFrom(), null);
  assert.equal(await first.admit(admission(3, 'w9')), 'recorded');
  assert.equal(await first.admit(admission(5, 'w9')), 'known');
  assert.equal(await first.admit({ ...admission(4, 'w9'), probe: 'c'.repeat(64) }), 'recorded');
  assert.equal(await first.admit(admission(2, 'w8')), 'recorded');
  await first.close();
  const ledger = await opened(context, path);
  assert.deepEqual(
    ledger.admitted().map(({ step, worker }) => [step, worker]),
    [
      [3, 'w9'],
      [4, 'w9'],
      [2, 'w8'],
    ],
  );
  assert.deepEqual(ledger.admitted()[0], admission(3, 'w9'));
  assert.equal(ledger.notReproducibleFrom(), 2);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 3 });
});

test('a full list of admitted workers takes no more, and says so', async (context) => {
  const path = await ledgerFolder(context);
  const first = await Ledger.open(path);
  const database = openDatabase(path, 'write');
  database.transactionSync(() => {
    for (let index = 0; index < MAX_ADMITTED; index += 1)
      database.putSync(recordKey('admitted', index), admission(index, `w${index}`));
  });
  await database.close();
  assert.equal(await first.admit(admission(1, 'one-more')), 'full');
  assert.equal(first.admitted().length, MAX_ADMITTED);
  assert.equal(first.admitted()[MAX_ADMITTED - 1].worker, `w${MAX_ADMITTED - 1}`);
  await first.close();
});

test('a branch cuts entries off, says which, and the chain goes on from the entry before', async (context) => {
  const path = await ledgerFolder(context);
  const first = await Ledger.open(path);
  await first.setGeneration(3);
  await first.setClass({ probe: PROBE, engine: ENGINE });
  await appendAll(first, [0, 1, 2, 3, 4]);
  const database = openDatabase(path, 'read');
  const lastChain = parseStored(database.get(4), 4).chain;
  await database.close();
  await first.admit(admission(4, 'w9'));
  await assert.rejects(first.append(entry(2, 'f')), hasCode('E_LEDGER_DIVERGED'));
  await first.branch(2, 'the newest state was lost', 77);
  assert.equal(first.last()?.step, 1);
  assert.deepEqual(first.verifyChain(), { ok: true, entries: 2 });
  await appendAll(first, [2, 3], 'f');
  await first.branch(3, 'again', 78);
  await appendAll(first, [3], 'e');
  await first.close();
  const ledger = await opened(context, path);
  assert.deepEqual([...ledger.range(0, 9)], [entry(0), entry(1), entry(2, 'f'), entry(3, 'e')]);
  const [cut, again] = ledger.branches();
  assert.deepEqual(cut, { step: 2, at: 77, reason: 'the newest state was lost', entries: 3, lastChain });
  assert.deepEqual([again.step, again.entries, again.reason], [3, 1, 'again']);
  // Steps 2 and 3 were done again with a worker of another class, though it came only at step 4.
  assert.equal(ledger.notReproducibleFrom(), 2);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 4 });
});

test('a branch is refused where it is no choice, and changes nothing', async (context) => {
  const ledger = await opened(context, await ledgerFolder(context));
  await assert.rejects(ledger.branch(0, '', 1), hasCode('E_LEDGER_BRANCH'));
  await appendAll(ledger, [0, 1]);
  await assert.rejects(ledger.branch(1, '', 1), /reproducible/);
  await ledger.admit(admission(2, 'w9'));
  for (const step of [2, 9, NaN]) await assert.rejects(ledger.branch(step, '', 1), hasCode('E_LEDGER_BRANCH'));
  for (const step of [-1, 0.5]) await assert.rejects(ledger.branch(step, '', 1), hasCode('E_LEDGER_ENTRY'));
  assert.deepEqual(ledger.branches(), []);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 2 });
});

test('records of another form are refused', async (context) => {
  const ledger = await opened(context, await ledgerFolder(context));
  const refused = hasCode('E_LEDGER_ENTRY');
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, key) => [`k${key}`, '']));
  await assert.rejects(ledger.setClass({ probe: 'x', engine: {} }), refused);
  await assert.rejects(ledger.setClass({ probe: PROBE, engine: many }), refused);
  await assert.rejects(ledger.admit({ ...admission(0, ''), step: 0 }), refused);
  await assert.rejects(ledger.admit(admission(-1, 'w')), refused);
  assert.deepEqual(ledger.admitted(), []);
});

test('a damaged record beside the entries is found', async (context) => {
  for (const key of ['generation', 'class', recordKey('admitted', 0), recordKey('branch', 0)]) {
    const path = await ledgerFolder(context);
    const ledger = await Ledger.open(path);
    await appendAll(ledger, [0]);
    const database = openDatabase(path, 'write');
    await database.put(key, { step: 'x' });
    const report = ledger.verifyChain();
    assert.ok(!report.ok, key);
    assert.equal(report.code, 'E_LEDGER_CORRUPT', key);
    await ledger.close();
    await database.close();
    await assert.rejects(Ledger.openReader(path), hasCode('E_LEDGER_CORRUPT'), key);
  }
});

test('a ledger of another version is named as one, by writers and readers, and the lock is given back', async (context) => {
  const old = { step: 0, generation: 1, plan: ['w1'], losses: [1], digest: 'd'.repeat(64), at: 1 };
  const versions: [string, Record<string | number, unknown>, RegExp][] = [
    ['before versions were recorded', { 0: { entry: old, chain: 'c'.repeat(64) }, generation: 1 }, /format 1,/],
    ['newer', { version: 4 }, /format 4,/],
    ['a strange one', { version: 'x' }, /format "x",/],
  ];
  for (const [what, records, message] of versions) {
    const path = await ledgerFolder(context);
    await fs.mkdir(path);
    const database = openDatabase(path, 'write');
    for (const [key, value] of Object.entries(records)) await database.put(key === '0' ? 0 : key, value);
    await database.close();
    for (const open of [() => Ledger.open(path), () => Ledger.openReader(path)])
      await assert.rejects(open, (error) => hasCode('E_LEDGER_VERSION')(error) && message.test(String(error)), what);
    assert.deepEqual((await fs.readdir(path)).includes('writer.lock'), false, what);
  }
});

test('a ledger whose writer died before its first record is a new one', async (context) => {
  const path = await ledgerFolder(context);
  await fs.mkdir(path);
  await openDatabase(path, 'write').close();
  const reader = await Ledger.openReader(path);
  assert.equal(reader.last(), undefined);
  await reader.close();
  const ledger = await opened(context, path);
  await appendAll(ledger, [0]);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 1 });
});

test('a writer killed at any moment leaves every branch whole: the cut and its record, or neither', async (context) => {
  // The process goes back by up to three steps and on again without end, and is killed at a moment of no choice.
  const script = `
    const { Ledger } = await import(process.argv[1]);
    const ledger = await Ledger.open(process.argv[2]);
    const [entry, admission] = JSON.parse(process.argv[3]);
    await ledger.admit(admission);
    console.log('open');
    for (let turn = 0; ; turn += 1) {
      const next = (ledger.last()?.step ?? -1) + 1;
      if (next < 6) await ledger.append({ ...entry, step: next, at: turn });
      else await ledger.branch(next - 1 - (turn % 3), 'turn', turn);
    }`;
  const path = await ledgerFolder(context);
  let before = 0;
  for (let life = 0; life < 3; life += 1) {
    const child = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        script,
        import.meta.resolve('#src/ledger/ledger.js'),
        path,
        JSON.stringify([entry(0), admission(0, 'w9')]),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    context.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const reader = await Ledger.openReader(path);
    while (reader.branches().length < before + 5) {
      // A reader beside the writer must never take a cut under way for damage.
      assert.ok(reader.verifyChain().ok);
      await new Promise((resolve) => setImmediate(resolve));
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    await reader.close();
    const ledger = await Ledger.open(path);
    assert.ok(ledger.verifyChain().ok);
    before = ledger.branches().length;
    for (const { step, entries } of ledger.branches()) assert.equal(step + entries, 6);
    await ledger.close();
  }
});
