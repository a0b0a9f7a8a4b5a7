/** What a figure depends on besides the code: the machine and the commit. */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { readFileSync } from 'node:fs';
import { cpuFlags } from '../../libs/engine/dist/identity.js';

const ROOT = new URL('../..', import.meta.url);

/** The instruction sets that decide which kernels oneDNN and Eigen choose, from the most capable down. */
const CLASSES = [
  ['amx_tile', 'AMX'],
  ['avx512_vnni', 'AVX-512 VNNI'],
  ['avx512f', 'AVX-512'],
  ['avx2', 'AVX2'],
  ['avx', 'AVX'],
  ['sve', 'SVE'],
  ['asimd', 'NEON'],
];

/** This machine, in the words of the table. */
export function describeMachine() {
  const flags = cpuFlags(readFileSync('/proc/cpuinfo', 'utf8'));
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    instructions: CLASSES.find(([flag]) => flags.includes(flag))?.[1] ?? 'no vector instructions known',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  };
}

/** The commit's first 12 digits, with "+" where tracked files outside the results differ from it; null outside a clone. */
export function describeCommit() {
  try {
    const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!test/bench/results', ':!docs');
    return git('rev-parse', '--short=12', 'HEAD') + (changed === '' ? '' : '+');
  } catch {
    return null;
  }
}
