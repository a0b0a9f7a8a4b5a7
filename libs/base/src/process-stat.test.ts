import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { processStat } from '#src/process-stat.js';

test('the time that a process has used grows while it computes', () => {
  const before = processStat(process.pid)?.cpuMilliseconds ?? NaN;
  const used = process.cpuUsage();
  while (process.cpuUsage(used).user + process.cpuUsage(used).system < 100_000);
  const after = processStat(process.pid)?.cpuMilliseconds ?? NaN;
  assert.ok(after - before >= 50, `${before} to ${after}`);
});

test('a process has a parent and a start, and when it is gone nothing', async () => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  const [seen, own] = [processStat(pid), processStat(process.pid)];
  assert.equal(seen?.parent, process.pid);
  assert.equal(own?.parent, process.ppid);
  assert.ok(Number(seen.started) >= Number(own.started) && Number(own.started) > 0);
  assert.equal(processStat(pid)?.started, seen.started);
  child.stdin.end();
  await once(child, 'close');
  assert.equal(processStat(pid), null);
});
