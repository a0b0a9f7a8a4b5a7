import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeMachine, processorText } from './machine.js';

test('a processor is named by what /proc/cpuinfo says, with its vector instructions, and a limit set for oneDNN', () => {
  const cpuinfo = (flags: string): string =>
    `processor\t: 0\nvendor_id\t: X\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: Some CPU\nstepping\t: 1\nflags\t\t: fpu ${flags}\n`;
  const textOf = (flags: string, env: Record<string, string> = {}): string => {
    const machine = describeMachine({ cpuinfo: cpuinfo(flags), env });
    return processorText({ ...machine, cores: 2 });
  };
  assert.equal(textOf('avx avx2 fma'), 'Some CPU (family 25, model 1), 2 cores, AVX2, no AVX-512');
  assert.equal(textOf('avx avx2 avx512f fma'), 'Some CPU (family 25, model 1), 2 cores, AVX-512');
  assert.match(textOf('avx avx2 avx512f avx512_vnni'), /AVX-512 with VNNI$/);
  assert.match(textOf('avx avx2 avx512f', { ONEDNN_MAX_CPU_ISA: 'AVX2' }), /AVX-512, oneDNN held to AVX2$/);
  assert.match(textOf(''), /no vector instructions known$/);
});
