/**
 * The peers' Python: a scratch environment with PyTorch for the CPU, numpy and safetensors, in the cache folder beside the engine
 * (install.ts makes it). Benchmarks, which need the first two, and `npm run interop` look for it there. LOCKSTEP_BENCH_PYTHON names
 * another Python.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { cacheDirectoryIn } from '@lockstep/config';

/** What the benchmarks import. */
export const BENCH_MODULES: readonly string[] = ['torch', 'numpy'];

/** Where the environment is. */
export const peerFolder = (): string => join(cacheDirectoryIn(process.env), 'bench-peers');
export const pythonIn = (environment: string): string => join(environment, 'bin', 'python');

const versionsSchema = z.record(z.string(), z.string());
export type Versions = z.infer<typeof versionsSchema>;

/** The versions of these modules that this Python has, or null if it lacks one. */
export function versionsOf(python: string, modules: readonly string[] = BENCH_MODULES): Versions | null {
  const names = modules.join();
  const script = `import json, ${names}; print(json.dumps({m.__name__: m.__version__ for m in (${names},)}))`;
  let printed: string;
  try {
    printed = execFileSync(python, ['-c', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return null;
  }
  return versionsSchema.parse(JSON.parse(printed));
}

/** The Python that has the peers, as LOCKSTEP_BENCH_PYTHON names it or `npm run bench:peers` made it; undefined: there is none. */
export function peerPython(): string | undefined {
  const named = process.env['LOCKSTEP_BENCH_PYTHON'];
  if (named !== undefined && named !== '') return named;
  const installed = pythonIn(peerFolder());
  return existsSync(installed) ? installed : undefined;
}

/** Environment of a peer's process: OPENBLAS_CORETYPE, where it is set for old numpy builds, would slow PyTorch down. */
export function peerEnvironment(): NodeJS.ProcessEnv {
  // Compiled once, found again by the next run.
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TORCHINDUCTOR_CACHE_DIR: join(cacheDirectoryIn(process.env), 'bench-inductor'),
  };
  delete env['OPENBLAS_CORETYPE'];
  return env;
}
