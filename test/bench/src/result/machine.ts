/** What a figure depends on besides the code: the machine and the commit. */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { cpuFlags } from '@lockstep/engine';
import { ROOT } from '../places.js';

/** The instruction sets that decide which kernels oneDNN and Eigen choose, from the most capable down. */
const CLASSES: readonly (readonly [string, string])[] = [
  ['amx_tile', 'AVX-512, AMX'],
  ['avx512_vnni', 'AVX-512 with VNNI'],
  ['avx512f', 'AVX-512'],
  ['avx2', 'AVX2, no AVX-512'],
  ['avx', 'AVX, no AVX2'],
  ['sve', 'SVE'],
  ['asimd', 'NEON'],
];

/** What tells one processor from another. Of some figures that is all that was noted. */
export const processorSchema = z.looseObject({
  cpu: z.string(),
  /** Family, model, stepping. */
  cpuNumbers: z.array(z.number()).optional(),
  cores: z.number(),
  instructions: z.string(),
});
export type Processor = z.infer<typeof processorSchema>;

export const machineSchema = z.looseObject({
  ...processorSchema.shape,
  cpuFlags: z.array(z.string()).optional(),
  memoryGiB: z.number(),
  kernel: z.string(),
  node: z.string(),
});
export type Machine = z.infer<typeof machineSchema>;

/**
 * This machine, in the words of the table. Its processor is what /proc/cpuinfo says; some virtual machines name a whole family of them
 * alike, so the numbers behind the name are told too, and so is a limit that oneDNN was given.
 */
export function describeMachine({
  cpuinfo = readFileSync('/proc/cpuinfo', 'utf8'),
  env = process.env,
}: { readonly cpuinfo?: string; readonly env?: Readonly<Record<string, string | undefined>> } = {}): Machine {
  const flags = cpuFlags(cpuinfo);
  const known = CLASSES.find(([flag]) => flags.includes(flag))?.[1] ?? 'no vector instructions known';
  const limit = env['ONEDNN_MAX_CPU_ISA'];
  const numbers = ['cpu family', 'model', 'stepping'].map((key) => valueOf(cpuinfo, key));
  return {
    cpu: valueOf(cpuinfo, 'model name') ?? cpus()[0]?.model ?? 'unknown',
    ...(numbers.includes(null) ? {} : { cpuNumbers: numbers.map(Number) }),
    cores: cpus().length,
    instructions: limit === undefined ? known : `${known}, oneDNN held to ${limit}`,
    cpuFlags: flags,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
  };
}

function valueOf(cpuinfo: string, key: string): string | null {
  return new RegExp(`^${key}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1] ?? null;
}

/** A machine's processor as every table and caption names it: figures hold for its vector instructions alone. */
export function processorText({ cpu, cpuNumbers, cores, instructions }: Processor): string {
  const numbers = cpuNumbers === undefined ? '' : ` (family ${cpuNumbers[0]}, model ${cpuNumbers[1]})`;
  return `${cpu}${numbers}, ${cores} cores, ${instructions}`;
}

/** The commit's first 12 digits, with "+" where tracked files outside the results differ from it; null outside a clone. */
export function describeCommit(): string | null {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!test/bench/results', ':!docs');
    return git('rev-parse', '--short=12', 'HEAD') + (changed === '' ? '' : '+');
  } catch {
    return null;
  }
}
