import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockstep } from './command.fixture.js';

test('a command that is called wrongly ends with 2, says what is wrong, and prints no result', async () => {
  const nowhere = join(tmpdir(), 'lockstep-no-such-run');
  const calls: [string[], RegExp][] = [
    [['nope'], /unknown command 'nope'/],
    [['verify'], /missing required argument 'directory'/],
    [['verify', '--nope', nowhere], /unknown option '--nope'/],
    [['verify', nowhere], /E_RUN_MISSING/],
    [['eval', nowhere], /E_RUN_MISSING/],
    [['eval', '--samples', '0', nowhere], /whole number of at least 1/],
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
