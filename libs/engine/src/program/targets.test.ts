import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { nodeApiHeadersDir, programArguments, programTargets } from '#src/device/engine-parts.mjs';

const names = (flags: readonly string[]): string[] => programTargets(flags).map(([name]) => name);

test('a processor gets the kernels that it runs, and the portable ones', () => {
  assert.deepEqual(names([]), ['plain', 'wide']);
  assert.deepEqual(names(['avx2']), ['plain', 'wide']);
  assert.deepEqual(names(['avx2', 'fma', 'avx512f']), ['plain', 'wide', 'avx2']);
  assert.deepEqual(names(['avx2', 'fma', 'avx512f', 'avx512dq']), ['plain', 'wide', 'avx2', 'avx512']);
});

test('the kernels of every processor compile, also where they do not run', { skip: process.arch !== 'x64' }, () => {
  const targets = programTargets(['avx2', 'fma', 'avx512f', 'avx512dq']);
  const calls = programArguments({ headersDir: nodeApiHeadersDir(), targets }).slice(0, -1);
  assert.equal(calls.length, 4);
  for (const call of calls)
    execFileSync('g++', [
      ...call.slice(0, call.indexOf('-c')),
      '-fsyntax-only',
      ...call.slice(call.indexOf('-c') + 1, -2),
    ]);
});
