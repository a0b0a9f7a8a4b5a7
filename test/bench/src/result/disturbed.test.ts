import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Disturbed, assertEndedWell, assertNobodyLost, undisturbed } from './disturbed.js';

test('a process that a signal ended, or that ended badly, makes a measurement worthless', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await once(child, 'spawn');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const { exitCode: code, signalCode: signal } = child;
  assert.throws(() => assertEndedWell('worker-1', { code, signal }), /^Error: worker-1 was ended by SIGKILL$/);
  assert.throws(() => assertEndedWell('ddp', { code: 1, signal: null }, 'no'), /ddp ended with status 1, saying:\nno/);
  assert.doesNotThrow(() => assertEndedWell('ddp', { code: 0, signal: null }));
});

const LOG = [
  '2026-01-01T00:00:00.000Z info note=worker-ready worker=worker-1 step=0',
  '2026-01-01T00:00:01.000Z info note=generation-opened generation=1 step=0 ring=["worker-1"] reason="workers are ready"',
  '2026-01-01T00:00:02.000Z info note=committed step=0 generation=1 loss=1',
];

test('a run whose coordinator lost a worker, or refused one, is worthless, unless that came when all was over', () => {
  const lost = '2026-01-01T00:00:03.000Z warn note=worker-lost worker=worker-1 reason="its connection closed (1006)"';
  assert.doesNotThrow(() => assertNobodyLost(LOG.join('\n')));
  assert.throws(
    () => assertNobodyLost([...LOG, lost].join('\n')),
    (error) => {
      assert.ok(error instanceof Disturbed);
      return /lost someone: note=worker-lost worker=worker-1 reason="its connection closed/.test(error.message);
    },
  );
  assert.doesNotThrow(() => assertNobodyLost([...LOG, '2026 info note=over outcome={}', lost].join('\n')));
});

test('what was disturbed is measured once more, and then given up; what failed otherwise fails at once', async () => {
  let tries = 0;
  const disturbedUntil = (good: number) => async () => {
    tries += 1;
    if (tries < good) throw new Disturbed('gone');
    return tries;
  };
  assert.equal(await undisturbed(disturbedUntil(2)), 2);
  tries = 0;
  await assert.rejects(undisturbed(disturbedUntil(3)), Disturbed);
  assert.equal(tries, 2);
  tries = 0;
  const fails = async (): Promise<never> => {
    tries += 1;
    throw new Error('wrong');
  };
  await assert.rejects(undisturbed(fails), /wrong/);
  assert.equal(tries, 1);
});
