/**
 * The peers' Python: a scratch environment with PyTorch for the CPU, numpy and safetensors, in the cache folder beside the engine.
 *
 *   npm run bench:peers        installs it; does nothing where it is whole
 *
 * Benchmarks, which need the first two, and `npm run interop` look for it there. LOCKSTEP_BENCH_PYTHON names another Python.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defaultCacheDir } from '../../libs/engine/recipe.mjs';

/** One release line, so that two machines compare with the same peer; the newest fix of it. */
const PACKAGES = ['torch==2.15.*', 'numpy'];
/** Not on PyTorch's own index. */
const SAFETENSORS = 'safetensors==0.8.*';
/** A wheel that brings CUDA along is ten times as large; this index has those without. The one that pip is set to use is tried next. */
const CPU_INDEX = 'https://download.pytorch.org/whl/cpu';

const folder = () => join(defaultCacheDir(process.env), 'bench-peers');
const pythonIn = (environment) => join(environment, 'bin', 'python');

/** The versions of these modules that this Python has, or null if it lacks one. */
export function versionsOf(python, modules = ['torch', 'numpy']) {
  const script = `import json, ${modules.join()}; print(json.dumps({m.__name__: m.__version__ for m in (${modules.join()},)}))`;
  try {
    return JSON.parse(execFileSync(python, ['-c', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return null;
  }
}

/** The Python that has the peers, as LOCKSTEP_BENCH_PYTHON names it or `npm run bench:peers` made it; undefined: there is none. */
export function peerPython() {
  const named = process.env.LOCKSTEP_BENCH_PYTHON;
  if (named) return named;
  const installed = pythonIn(folder());
  return existsSync(installed) ? installed : undefined;
}

/** Environment of a peer's process: OPENBLAS_CORETYPE, where it is set for old numpy builds, would slow PyTorch down. */
export function peerEnvironment() {
  // Compiled once, found again by the next run.
  const env = { ...process.env, TORCHINDUCTOR_CACHE_DIR: join(defaultCacheDir(process.env), 'bench-inductor') };
  delete env.OPENBLAS_CORETYPE;
  return env;
}

function giveUp(problem, fix) {
  console.error(`${problem}\n  fix: ${fix}`);
  process.exit(1);
}

/** Says what is missing before anything is fetched. */
function checkTools() {
  const works = (...args) => spawnSync('python3', args, { stdio: 'ignore' }).status === 0;
  if (!works('--version'))
    giveUp('python3 was not found; the peers run in it', 'Debian: apt-get install python3 python3-venv python3-pip');
  if (!works('-c', 'import venv, ensurepip'))
    giveUp('python3 cannot make a virtual environment (venv)', 'Debian: apt-get install python3-venv');
  if (spawnSync('g++', ['--version'], { stdio: 'ignore' }).status !== 0)
    console.error('g++ was not found: torch.compile, one of the peers, needs it. Debian: apt-get install g++');
}

function install() {
  const environment = folder();
  const python = pythonIn(environment);
  const versions = () => versionsOf(python, ['torch', 'numpy', 'safetensors']);
  const had = existsSync(python) ? versions() : null;
  if (had !== null) return console.log(`peers: ${JSON.stringify(had)}, already in ${environment}`);
  const shown = (command, args) => spawnSync(command, args, { stdio: 'inherit' }).status === 0;
  const pip = (...args) => shown(python, ['-m', 'pip', 'install', '--disable-pip-version-check', ...args]);
  if (!existsSync(python) || versionsOf(python) === null) installTorch(environment, shown, pip);
  if (!pip(SAFETENSORS))
    giveUp(`pip could not fetch ${SAFETENSORS}`, "check the network, or pip's index and proxy settings");
  const has = versions();
  if (has === null)
    giveUp('what was installed cannot be imported', `${python} -c 'import torch, numpy, safetensors' says why`);
  console.log(`peers: ${JSON.stringify(has)}, in ${environment}`);
}

function installTorch(environment, shown, pip) {
  checkTools();
  // What is there is not whole: half a download, or a Python that has gone.
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(environment, { recursive: true });
  if (!shown('python3', ['-m', 'venv', environment]))
    giveUp(`no virtual environment could be made in ${environment}`, 'read what it says above');
  if (!pip('--retries', '0', '--timeout', '20', '--index-url', CPU_INDEX, ...PACKAGES) && !pip(...PACKAGES)) {
    rmSync(environment, { recursive: true, force: true });
    giveUp(
      `pip could not fetch ${PACKAGES.join(' and ')}`,
      "check the network, or pip's index and proxy settings; then again",
    );
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) install();
