import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeEnd, onceEnded, type ChildEnd } from '#src/up/child-end.js';
import { isWorthAnotherTry, wordsOf, type WorkerEnd } from '#src/up/worker-end.js';

const said = (code: string, ready: boolean): WorkerEnd => ({ kind: 'ended', status: 1, code, reason: 'why', ready });

test('a worker that could not begin by its own judgement is not started again; one that was killed or had begun is', () => {
  assert.equal(isWorthAnotherTry(null, { status: null }), true);
  assert.equal(isWorthAnotherTry(said('E_STATE_CORRUPT', true), { status: 1 }), true);
  assert.equal(isWorthAnotherTry(said('E_ENGINE_MISSING', false), { status: 1 }), false);
  assert.equal(isWorthAnotherTry(said('E_CONFIG_BAD_VALUE', false), { status: 2 }), false);
  assert.equal(isWorthAnotherTry(said('E_PORT_IN_USE', false), { status: 1 }), false);
});

test('a lack that may pass, and a cause that nobody knows, are worth another try; a refusal never is', () => {
  for (const code of ['E_RESOURCES', 'E_COMPUTE_THREAD', 'E_INTERNAL'])
    assert.equal(isWorthAnotherTry(said(code, false), { status: 1 }), true);
  assert.equal(isWorthAnotherTry(said('E_NUMERICS_CLASS', true), { status: 3 }), false);
});

test('of a stack only the first line is shown', () => {
  assert.equal(wordsOf({ ...said('E_STATE_CORRUPT', false), reason: 'why\n  at a line' }), 'E_STATE_CORRUPT: why');
});

test('an end is told after the last message, however the process ended', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-end-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const module = join(folder, 'child.mjs');
  writeFileSync(module, `process.send('last', () => process.exit(3));`);
  const told: unknown[] = [];
  const child = fork(module);
  child.on('message', (message) => told.push(message));
  const end = await new Promise<ChildEnd>((resolve) => onceEnded(child, resolve));
  assert.deepEqual(
    [told, end.status, describeEnd(end, 'E_STATE_CORRUPT: why')],
    [['last'], 3, 'ended with status 3: E_STATE_CORRUPT: why'],
  );
  const killed = fork(module, [], { execArgv: ['--eval', 'setInterval(() => {}, 1000)'] });
  killed.once('spawn', () => killed.kill('SIGKILL'));
  assert.equal(
    describeEnd(await new Promise<ChildEnd>((resolve) => onceEnded(killed, resolve)), null),
    'was killed by SIGKILL',
  );
  const never = fork(module, [], { execPath: join(folder, 'nothing') });
  assert.match(
    describeEnd(await new Promise<ChildEnd>((resolve) => onceEnded(never, resolve)), null),
    /could not be started: .*ENOENT/,
  );
});
