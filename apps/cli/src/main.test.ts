import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { lockstep } from './command.fixture.js';

test('a command that is called wrongly ends with 2, says what is wrong, and prints no result', async () => {
  const nowhere = join(tmpdir(), 'lockstep-no-such-run');
  const calls: [string[], RegExp][] = [
    [['nope'], /unknown command 'nope'/],
    [['verify'], /missing required argument 'directory'/],
    [['verify', '--nope', nowhere], /unknown option '--nope'/],
    [['verify', nowhere], /E_RUN_MISSING/],
    [['eval', nowhere], /E_RUN_MISSING/],
    [['eval', '--samples', '0', nowhere], /whole number in 1\.\.9007199254740991/],
    [['sample', '--seed', '9007199254740992', nowhere], /whole number in 0\.\.9007199254740991/],
    [['sample', '--workers', '1e9', nowhere], /whole number in 1\.\.\d+/],
    [['replay', nowhere, '--step', '9007199254740992', '--microbatch', '0'], /whole number in 0\.\.9007199254740991/],
    [['replay', nowhere, '--step', '0', '--microbatch', '0', '--threads', '0'], /whole number in 1\.\.1024/],
    [['export', nowhere, '--out', nowhere, '--images', '0'], /whole number in 1\.\.4096/],
    [['up', '--seed', '9007199254740992'], /seed is .* a whole number in 0\.\.9007199254740991/],
    [['status', nowhere], /E_STATUS_ADDRESS/],
    [['status', 'ftp://host'], /E_STATUS_ADDRESS/],
  ];
  for (const [args, message] of calls) {
    const { status, stdout, stderr } = await lockstep(...args);
    assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
    assert.equal(stdout, '');
  }
});

test('up explains the one timeout in one line of its help', async () => {
  const { status, stdout } = await lockstep('up', '--help');
  assert.equal(status, 0);
  const lines = stdout.split('\n').filter((line) => /silent.*--heartbeat-timeout-ms.*all other waits/.test(line));
  assert.equal(lines.length, 1);
});

test('a reader that goes away before the end, as `head` does, is no failure', async () => {
  const main = fileURLToPath(import.meta.resolve('#src/main.js'));
  const child = spawn(process.execPath, [main, 'up', '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await once(child, 'close');
  assert.deepEqual([child.exitCode, stderr], [0, '']);
});
