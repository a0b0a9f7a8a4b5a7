/** What an engine is, for logs and for a first guess at whether two engines give the same bits (a probe proves it). */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { EngineName } from '@lockstep/base';
import type { Device } from './device.js';
import { flagsIn } from './engine-parts.mjs';

export type EngineIdentity = {
  readonly engine: EngineName;
  /** Which of our kernels a program uses: plain, avx2, avx512; tensorflow for sessions. */
  readonly kernels: string;
  readonly tensorflow: string;
  readonly tfjs: string;
  readonly device: Device;
  readonly threads: number;
  readonly node: string;
  readonly v8: string;
  readonly arch: string;
  readonly cpuModel: string;
  /** Instruction sets by which oneDNN and Eigen choose their kernels, sorted. */
  readonly cpuFlags: readonly string[];
};

const RELEVANT = /^(avx|avx2|avx512\w*|avx_vnni\w*|amx_\w+|fma|f16c|asimd\w*|sve\w*|bf16|i8mm)$/;

/** The relevant flags of a /proc/cpuinfo text, sorted. */
export function cpuFlags(cpuinfo: string): string[] {
  return flagsIn(cpuinfo)
    .filter((flag) => RELEVANT.test(flag))
    .sort();
}

/** Whether a processor with these flags runs what is compiled for it by engine-parts.mjs: on x86 it needs AVX2 and FMA. */
export function runsNative(arch: string, flags: readonly string[]): boolean {
  return arch !== 'x64' || (flags.includes('avx2') && flags.includes('fma'));
}

export function identify(loaded: {
  engine: EngineName;
  kernels: string;
  tensorflow: string;
  tfjs: string;
  device: Device;
  threads: number;
}): EngineIdentity {
  return Object.freeze({
    ...loaded,
    node: process.versions.node,
    v8: process.versions.v8,
    arch: process.arch,
    cpuModel: cpus()[0]?.model ?? 'unknown',
    cpuFlags: Object.freeze(cpuFlags(readFileSync('/proc/cpuinfo', 'utf8'))),
  });
}
