/**
 * Makes programs.node: the kernels of programs, compiled for each kind of processor. It needs g++ and nothing else, and lies in a
 * folder of its own in the cache, so that a changed kernel does not make the tensor engine anew.
 *
 *     node tools/engine/programs.mjs
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { codeOf, messageOf } from '../../apps/cli/bin/foreign.mjs';
import { cacheDirectory } from '../../libs/config/src/cache-directory.mjs';
import * as parts from '../../libs/engine/src/device/engine-parts.mjs';
import { EngineInstallError } from './errors.mjs';
import { compile } from './steps.mjs';

/** @typedef {(line: string) => void} Log told what is going on, a line at a time */

/** @param {string} path */
async function exists(path) {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Makes sure that programs.node is in `cacheDir`. It is compiled beside its place and renamed, so it is there whole or not at all.
 * @param {object} options
 * @param {string} options.cacheDir
 * @param {Log} options.log
 * @param {NodeJS.ProcessEnv} [options.env] environment of the compiler
 * @param {AbortSignal} [options.signal] ends the set-up, leaving nothing behind
 * @returns {Promise<{dir: string, installed: boolean}>} its folder, and whether it was compiled by this call
 * @throws {EngineInstallError}
 */
export async function installPrograms({ cacheDir, log, env = process.env, signal }) {
  const dir = parts.programsDir({ cacheDir });
  if (await exists(join(dir, parts.PROGRAMS_FILE))) return { dir, installed: false };
  const started = performance.now();
  log('engine: compiling the kernels of programs');
  await mkdir(dirname(dir), { recursive: true });
  const temporary = join(dirname(dir), `.building~${hostname()}~${process.pid}~${randomUUID().slice(0, 8)}`);
  try {
    await mkdir(temporary);
    const calls = parts.programArguments({
      headersDir: parts.nodeApiHeadersDir(),
      targets: parts.programTargets(parts.processorFlags()),
    });
    await compileAll(calls.slice(0, -1), temporary, { env, signal });
    await compile(calls.slice(-1), temporary, { env, signal });
    await publish(temporary, dir);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  log(`engine: kernels of programs compiled in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  return { dir, installed: true };
}

/**
 * As many at once as there are processors, for the targets do not need each other.
 * @param {readonly string[][]} calls
 * @param {string} dir
 * @param {import('./steps.mjs').Context} context
 */
async function compileAll(calls, dir, context) {
  const left = [...calls];
  const worker = async () => {
    for (let call = left.shift(); call !== undefined; call = left.shift()) await compile([call], dir, context);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

/**
 * Puts the finished folder in its place, or leaves the one that another set-up finished first.
 * @param {string} temporary
 * @param {string} dir
 */
async function publish(temporary, dir) {
  try {
    await rename(temporary, dir);
  } catch (error) {
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
    if (await exists(join(dir, parts.PROGRAMS_FILE))) return;
    await rm(dir, { recursive: true, force: true });
    await rename(temporary, dir);
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  installPrograms({ cacheDir: cacheDirectory(process.env), log: console.error })
    .then(({ dir, installed }) => console.log(`${installed ? 'installed' : 'already installed'}: ${dir}`))
    .catch((/** @type {unknown} */ error) => {
      console.error(error instanceof EngineInstallError ? error.message : `E_INTERNAL: ${messageOf(error)}`);
      process.exitCode = 1;
    });
