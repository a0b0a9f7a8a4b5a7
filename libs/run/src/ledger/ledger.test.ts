import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { remedyFor } from '@lockstep/base';
import { hasCode, ledgerFolder, opened } from './ledger.fixture.js';
import { howItEnded } from '#src/ledger/ledger-file.js';
import { Ledger } from '#src/ledger/ledger.js';
import type { LedgerEntry } from '#src/ledger/ledger-entry.js';
import { openDatabase } from '#src/ledger/ledger-reader.js';

const entry = (step: number, changes: Partial<LedgerEntry> = {}): LedgerEntry => ({
  step,
  generation: 1,
  plan: ['w1', 'w2', 'w1', 'w2'],
  losses: [0.5, 0.1 + 0.2, 1e-30, step],
  samples: [0, 1, 2, 3].map((index) => (4 * step + index).toString(16).padStart(16, '0')),
  skipped: false,
  digest: step.toString(16).padStart(64, '0'),
  at: 1_700_000_000_000 + step,
  ...changes,
});

async function filled(path: string, steps: number): Promise<void> {
  const ledger = await Ledger.open(path);
  await Promise.all(Array.from({ length: steps }, (_, step) => ledger.append(entry(step))));
  await ledger.close();
}

test('entries are there after a reopening, exactly as appended', async (context) => {
  const path = await ledgerFolder(context);
  await filled(path, 3);
  const ledger = await opened(context, path);
  assert.deepEqual(ledger.last(), entry(2));
  assert.deepEqual(ledger.get(1), entry(1));
  assert.equal(ledger.get(3), undefined);
  assert.deepEqual([...ledger.range(1, 9)], [entry(1), entry(2)]);
  assert.deepEqual([...ledger.range(-5, 0)], [entry(0)]);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 3 });
});

test('an empty ledger has no last entry and generation 0', async (context) => {
  const ledger = await opened(context, await ledgerFolder(context));
  assert.equal(ledger.last(), undefined);
  assert.equal(ledger.generation(), 0);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 0 });
});

test('steps must follow one another from 0', async (context) => {
  const ledger = await opened(context, await ledgerFolder(context));
  await assert.rejects(ledger.append(entry(1)), hasCode('E_LEDGER_GAP'));
  await ledger.append(entry(0));
  await assert.rejects(ledger.append(entry(2)), hasCode('E_LEDGER_GAP'));
  await ledger.append(entry(1));
  assert.equal(ledger.last()?.step, 1);
});

test('a redone step is confirmed when its digest is equal, whoever did it, and diverges otherwise', async (context) => {
  const ledger = await opened(context, await ledgerFolder(context));
  assert.equal(await ledger.append(entry(0)), 'appended');
  assert.equal(await ledger.append(entry(1)), 'appended');
  assert.equal(await ledger.append(entry(0, { plan: ['w3', 'w3', 'w3', 'w3'], generation: 2, at: 5 })), 'confirmed');
  assert.deepEqual(ledger.get(0), entry(0));
  await assert.rejects(ledger.append(entry(1, { digest: 'f'.repeat(64) })), hasCode('E_LEDGER_DIVERGED'));
  assert.deepEqual(ledger.last(), entry(1));
  assert.equal(await ledger.append(entry(2)), 'appended');
});

test('overlapping appends take effect in the order of the calls; a refused one does not hold up the next', async (context) => {
  const ledger = await opened(context, await ledgerFolder(context));
  const results = await Promise.allSettled([0, 1, 5, 2].map((step) => ledger.append(entry(step))));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 3 });
});

test('what is not a ledger entry is refused', async (context) => {
  const ledger = await opened(context, await ledgerFolder(context));
  for (const change of [
    { losses: [NaN, 1, 1, 1] },
    { losses: [1] },
    { losses: [null, 1, 1, 1] },
    { samples: [] },
    { samples: entry(0).samples.map(() => 'abc') },
    { digest: 'abc' },
    { step: -1 },
    { at: 0.5 },
    { plan: ['', 'a', 'a', 'a'] },
  ]) {
    await assert.rejects(ledger.append(entry(0, change)), hasCode('E_LEDGER_ENTRY'), JSON.stringify(change));
  }
});

test('the generation is kept and never falls', async (context) => {
  const path = await ledgerFolder(context);
  const ledger = await Ledger.open(path);
  await ledger.setGeneration(4);
  await ledger.setGeneration(4);
  await assert.rejects(ledger.setGeneration(3), hasCode('E_LEDGER_GENERATION'));
  await ledger.append(entry(0));
  await ledger.close();
  const again = await opened(context, path);
  assert.equal(again.generation(), 4);
  assert.deepEqual(again.verifyChain(), { ok: true, entries: 1 });
});

test('a closed ledger says so', async (context) => {
  const ledger = await Ledger.open(await ledgerFolder(context));
  await ledger.close();
  await ledger.close();
  assert.throws(() => ledger.last(), hasCode('E_LEDGER_CLOSED'));
  await assert.rejects(ledger.append(entry(0)), hasCode('E_LEDGER_CLOSED'));
});

test('a changed, a foreign and a missing entry are each found at their step', async (context) => {
  const stored = (step: number, changes: Partial<LedgerEntry> = {}): unknown => ({
    entry: entry(step, changes),
    chain: 'a'.repeat(64),
  });
  const tamperings: [string, (db: ReturnType<typeof openDatabase>) => Promise<unknown>, number, RegExp][] = [
    [
      'changed',
      (db) => db.put(2, { ...Object(db.get(2)), entry: entry(2, { losses: [9, 9, 9, 9] }) }),
      2,
      /chain breaks at step 2/,
    ],
    ['foreign', (db) => db.put(1, stored(1)), 1, /chain breaks at step 1/],
    [
      'other samples',
      (db) => db.put(3, { ...Object(db.get(3)), entry: entry(3, { samples: entry(2).samples }) }),
      3,
      /chain breaks at step 3/,
    ],
    [
      'skipped by hand',
      (db) => db.put(3, { ...Object(db.get(3)), entry: entry(3, { skipped: true }) }),
      3,
      /chain breaks at step 3/,
    ],
    ['missing', (db) => db.remove(3), 3, /step 3 is missing/],
    ['misplaced', (db) => db.put(4, stored(1)), 4, /says step 1/],
    ['malformed', (db) => db.put(0, { entry: 1 }), 0, /damaged/],
    ['with a key of no use', (db) => db.put('note', 1), 5, /1 entries from step 5 on cannot be reached/],
  ];
  for (const [what, tamper, step, reason] of tamperings) {
    const path = await ledgerFolder(context);
    await filled(path, 5);
    const ledger = await Ledger.open(path);
    const database = openDatabase(path, 'write');
    await tamper(database);
    const report = ledger.verifyChain();
    assert.ok(!report.ok, what);
    assert.equal(report.step, step, what);
    assert.match(report.reason, reason, what);
    await ledger.close();
    await database.close();
    await assert.rejects(Ledger.open(path), hasCode('E_LEDGER_CORRUPT'), what);
  }
});

test('a cut or overwritten database file is refused with a code, by writers and readers, and the lock is given back', async (context) => {
  const path = await ledgerFolder(context);
  await filled(path, 400);
  const file = join(path, 'ledger.mdb');
  const whole = await fs.readFile(file);
  const noise = Buffer.alloc(whole.length, 0xa5);
  const damages: [string, Buffer][] = [
    ['empty', Buffer.alloc(0)],
    ['cut in the first page', whole.subarray(0, 100)],
    ['cut after the meta pages', whole.subarray(0, 8192)],
    ['cut in the middle', whole.subarray(0, whole.length >> 1)],
    ['meta pages overwritten', Buffer.concat([noise.subarray(0, 8192), whole.subarray(8192)])],
    ['data pages overwritten', Buffer.concat([whole.subarray(0, 8192), noise.subarray(8192)])],
  ];
  for (const [what, bytes] of damages) {
    await fs.rm(`${file}-lock`, { force: true });
    await fs.writeFile(file, bytes);
    await assert.rejects(Ledger.open(path), hasCode('E_LEDGER_CORRUPT'), what);
    await assert.rejects(Ledger.openReader(path), hasCode('E_LEDGER_CORRUPT'), what);
  }
  await fs.rm(`${file}-lock`, { force: true });
  await fs.writeFile(file, whole);
  const ledger = await opened(context, path);
  assert.equal(ledger.last()?.step, 399);
});

test('a reader needs an existing ledger', async (context) => {
  await assert.rejects(Ledger.openReader(await ledgerFolder(context)), hasCode('E_LEDGER_MISSING'));
});

/** Another process that opens the ledger for writing, appends as told on stdin, and answers one line each. */
function writerProcess(
  context: TestContext,
  path: string,
): { child: ChildProcess; answer(): Promise<string>; append(step: number): Promise<string> } {
  const script = `
    import { createInterface } from 'node:readline';
    const { Ledger } = await import(process.argv[1]);
    const ledger = await Ledger.open(process.argv[2]).catch((error) => (console.log(error.code), process.exit(3)));
    console.log('open');
    for await (const line of createInterface({ input: process.stdin })) console.log(await ledger.append(JSON.parse(line)));
    await ledger.close();`;
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', script, import.meta.resolve('#src/ledger/ledger.js'), path],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  context.after(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<string> => {
    const next = await lines.next();
    assert.ok(next.done !== true, 'the writer process ended without an answer');
    return next.value;
  };
  return {
    child,
    answer,
    append: (step) => {
      child.stdin.write(`${JSON.stringify(entry(step))}\n`);
      return answer();
    },
  };
}

test('a second process cannot write; readers see what the first appends; its death frees the ledger with all it had', async (context) => {
  const path = await ledgerFolder(context);
  const writer = writerProcess(context, path);
  assert.equal(await writer.answer(), 'open');
  assert.equal(await writer.append(0), 'appended');

  await assert.rejects(
    Ledger.open(path),
    (error) => hasCode('E_LEDGER_LOCKED')(error) && String(error).includes(`process ${writer.child.pid}`),
  );
  const reader = await Ledger.openReader(path);
  assert.deepEqual(reader.last(), entry(0));
  // Enough to grow the file beyond the reader's first mapping.
  for (let step = 1; step < 600; step += 1) await writer.append(step);
  assert.deepEqual(reader.last(), entry(599));
  assert.deepEqual(reader.verifyChain(), { ok: true, entries: 600 });
  await reader.close();

  writer.child.kill('SIGKILL');
  await once(writer.child, 'exit');
  const ledger = await opened(context, path);
  assert.deepEqual(ledger.verifyChain(), { ok: true, entries: 600 });
  assert.equal(await ledger.append(entry(600)), 'appended');
});

test('the same process cannot open a ledger for writing twice', async (context) => {
  const path = await ledgerFolder(context);
  const ledger = await Ledger.open(path);
  await assert.rejects(Ledger.open(path), hasCode('E_LEDGER_LOCKED'));
  await ledger.close();
  await (await Ledger.open(path)).close();
});

test('a lock of another process with this id, of another host, or in pieces is judged rightly', async (context) => {
  const path = await ledgerFolder(context);
  await filled(path, 1);
  const lock = join(path, 'writer.lock');
  // As after a container's restart: same host, same process id, other start time.
  await fs.writeFile(lock, JSON.stringify({ host: hostname(), pid: process.pid, started: 'another-boot/1' }));
  await (await Ledger.open(path)).close();
  await fs.writeFile(lock, JSON.stringify({ host: 'elsewhere', pid: process.pid, started: '' }));
  await assert.rejects(
    Ledger.open(path),
    (error) => hasCode('E_LEDGER_LOCKED')(error) && /host elsewhere.*--take-over/.test(String(error)),
  );
  await fs.writeFile(lock, '{"host":');
  await assert.rejects(Ledger.open(path), hasCode('E_LEDGER_LOCKED'));
  await fs.rm(lock);
  await (await Ledger.open(path)).close();
});

test('a ledger that the system does not let be read is not called damaged', async (context) => {
  const path = await ledgerFolder(context);
  await fs.mkdir(join(path, 'ledger.mdb'), { recursive: true });
  for (const open of [() => Ledger.openReader(path), () => Ledger.open(path)])
    await assert.rejects(open, (error: Error) => {
      assert.match(error.message, /^E_LEDGER_READ: .*ledger\.mdb: .*Is a directory.*; check the path\.$/);
      return true;
    });
});

test('only a death that the file can have caused says that it is damaged', () => {
  const ended = (more: object, stderr = ''): boolean => howItEnded(Object.assign(new Error(), more), stderr).corrupt;
  for (const signal of ['SIGSEGV', 'SIGBUS']) assert.equal(ended({ signal }), true, signal);
  assert.equal(ended({ signal: 'SIGABRT' }, 'mdb.c:1: Assertion failed'), true);
  assert.equal(ended({ signal: 'SIGABRT' }, 'FATAL ERROR: JavaScript heap out of memory'), false);
  assert.equal(ended({ signal: 'SIGKILL' }), false);
  assert.equal(ended({ signal: 'SIGTERM', killed: true }), false);
  assert.equal(ended({ code: 'EMFILE' }), false);
  assert.equal(ended({ code: 1 }, 'Error: EMFILE'), false);
});

test('what to do about a failure follows from what the system said, of LMDB too', () => {
  const advice = (code: unknown): string => remedyFor(Object.assign(new Error(), { code }));
  assert.equal(advice('ENOSPC'), 'free space');
  assert.equal(advice(28), 'free space');
  assert.match(advice('EMFILE'), /ulimit -n/);
  assert.match(advice(-30793), /look at/);
});
