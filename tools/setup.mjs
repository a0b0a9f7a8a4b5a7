/**
 * Makes a clone ready to run: packages, the tensor engine, the build. Plain Node without dependencies, for it runs before
 * there are any. Does only what is missing, and says what it did: one line a phase.
 *
 *     node tools/setup.mjs          LOCKSTEP_DEVICE=cuda for the engine of GPU nodes
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { codeOf, fieldsOf, messageOf } from '../apps/cli/bin/foreign.mjs';
import { cacheDirectory } from '../libs/config/src/cache-directory.mjs';
import { digestSources, isBuilt, pruneStale, recordBuild } from './build-stamp.mjs';

export const ROOT = join(import.meta.dirname, '..');

/** No background process is left behind, and no cursor games: the output is read in logs as often as on terminals. */
export const NX = join(ROOT, 'node_modules', '.bin', 'nx');
export const NX_ENV = { NX_DAEMON: 'false', NX_TUI: 'false' };

/** Every code that the set-up can end with besides the engine's. libs/base says what each means (src/errors/setup-errors.ts): it may not be built yet. */
export const SETUP_ERRORS = Object.freeze(/** @type {const} */ (['E_SETUP_NODE', 'E_SETUP_PACKAGES', 'E_SETUP_BUILD']));

/** What is missing and the command that fixes it. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError';
  /**
   * @param {typeof SETUP_ERRORS[number]} code
   * @param {string} message
   * @param {string} fix
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, fix, options) {
    super(`${code}: ${message}\n  fix: ${fix}`, options);
    this.code = code;
  }
}

/** @typedef {(line: string) => void} Log told what is going on, a line at a time */

const readJson = (/** @type {string[]} */ ...path) => fieldsOf(JSON.parse(readFileSync(join(ROOT, ...path), 'utf8')));

/**
 * Runs a command in the root with its output shown. Resolves to its exit code, or 128 plus the signal's number.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env] beside this process's own
 * @returns {Promise<number>}
 */
export function runShown(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? exitCodeOf(signal)));
  });
}

/**
 * The shell's convention for a process that a signal ended.
 * @param {NodeJS.Signals | null} signal
 */
export function exitCodeOf(signal) {
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}

async function checkNode() {
  const { engines } = readJson('package.json');
  const wanted = /^>=(\d+)\.(\d+)$/.exec(String(fieldsOf(engines).node));
  if (wanted === null) throw new Error('package.json says otherwise than ">=MAJOR.MINOR" which Node is needed');
  const [, major, minor] = wanted.map(Number);
  const [haveMajor, haveMinor] = process.versions.node.split('.').map(Number);
  if (haveMajor < major || (haveMajor === major && haveMinor < minor)) {
    throw new SetupError(
      'E_SETUP_NODE',
      `Node ${major}.${minor} or newer is needed, this is ${process.versions.node}`,
      'install the current LTS release from https://nodejs.org, or with a version manager: nvm install --lts',
    );
  }
  return process.versions.node;
}

/**
 * Whether node_modules holds what package-lock.json asks for, by npm's own record of what it installed
 * (node_modules/.package-lock.json), which npm writes last. Packages for other platforms may be absent.
 * @param {Readonly<Partial<Record<string, unknown>>>} wanted by path
 * @param {Readonly<Partial<Record<string, unknown>>>} installed by path
 */
export function packagesMatch(wanted, installed) {
  const entries = Object.entries(wanted).filter(([path]) => path.includes('node_modules/'));
  const same = (/** @type {string} */ path, /** @type {unknown} */ entry) =>
    path in installed ? JSON.stringify(installed[path]) === JSON.stringify(entry) : fieldsOf(entry).optional === true;
  return entries.every(([path, entry]) => same(path, entry)) && Object.keys(installed).every((path) => path in wanted);
}

function packagesInstalled() {
  const wanted = fieldsOf(readJson('package-lock.json').packages);
  try {
    return packagesMatch(wanted, fieldsOf(readJson('node_modules', '.package-lock.json').packages));
  } catch {
    return false;
  }
}

/** @param {Log} log */
async function installPackages(log) {
  if (packagesInstalled()) return 'match package-lock.json';
  const command = 'npm ci --ignore-scripts --no-audit --no-fund';
  log(`packages: ${command}`);
  const [npm, ...args] = command.split(' ');
  let code;
  try {
    code = await runShown(npm, args);
  } catch (cause) {
    const code = codeOf(cause);
    const fix = code === 'ENOENT' ? 'install npm; it comes with Node' : 'find out why by hand: npm --version';
    throw new SetupError('E_SETUP_PACKAGES', `npm could not be started (${code ?? messageOf(cause)})`, fix, { cause });
  }
  if (code !== 0)
    throw new SetupError(
      'E_SETUP_PACKAGES',
      `npm ci ended with exit code ${code}`,
      `read what it says above, then: ${command}`,
    );
  return 'installed';
}

/** @param {Log} log */
async function installEngine(log) {
  const { installEngine: install } = await import('./engine/install.mjs');
  const { installPrograms } = await import('./engine/programs.mjs');
  const device = process.env.LOCKSTEP_DEVICE || 'cpu';
  const abort = new AbortController();
  const interrupted = () => abort.abort();
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM']);
  for (const signal of signals) process.once(signal, interrupted);
  try {
    const cacheDir = cacheDirectory(process.env);
    const options = { cacheDir, log, signal: abort.signal };
    const { installed } = await install({ ...options, device });
    const programs = await installPrograms(options);
    return installed || programs.installed ? `${device}, built` : `${device}, already built`;
  } finally {
    for (const signal of signals) process.off(signal, interrupted);
  }
}

/** @param {Log} log */
async function build(log) {
  if (isBuilt(ROOT)) return 'up to date';
  log('build: nx run-many -t build');
  const sources = digestSources(ROOT);
  const code = await runShown(NX, ['run-many', '-t', 'build', '--outputStyle=static'], NX_ENV);
  if (code !== 0)
    throw new SetupError(
      'E_SETUP_BUILD',
      `the build ended with exit code ${code}`,
      'read the errors above, then: npm run build',
    );
  const removed = pruneStale(ROOT);
  recordBuild(ROOT, sources);
  return removed === 0 ? 'done' : `done, ${removed} stale outputs removed`;
}

/**
 * Brings the clone up to date. `log` is told a line for each phase: what was done and how long it took.
 * @param {Log} log
 * @throws {SetupError | import('./engine/errors.mjs').EngineInstallError} what is missing and what to do about it
 */
export async function setup(log = console.log) {
  for (const [name, phase] of Object.entries({
    node: checkNode,
    packages: installPackages,
    engine: installEngine,
    build,
  })) {
    const started = performance.now();
    const done = await phase(log);
    log(`${`${name}:`.padEnd(9)} ${done} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  }
}

/** Sets up, or says why not and ends the process with exit code 1. */
export async function setupOrExit() {
  try {
    await setup();
  } catch (error) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    console.error(`set-up failed: ${codeOf(error)?.startsWith('E_') ? messageOf(error) : `E_INTERNAL: ${stack}`}`);
    process.exit(1);
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await setupOrExit();
