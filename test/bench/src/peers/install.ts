/**
 *   npm run bench:peers        installs the peers (peers.ts); does nothing where they are whole
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { BENCH_MODULES, peerFolder, pythonIn, versionsOf } from './peers.js';

/** One release line, so that two machines compare with the same peer; the newest fix of it. */
const PACKAGES = ['torch==2.15.*', 'numpy'];
/** Not on PyTorch's own index. */
const SAFETENSORS = 'safetensors==0.8.*';
/** A wheel that brings CUDA along is ten times as large; this index has those without. The one that pip is set to use is tried next. */
const CPU_INDEX = 'https://download.pytorch.org/whl/cpu';

/** What is wrong, and what to do. */
class InstallError extends Error {
  constructor(problem: string, fix: string) {
    super(`${problem}\n  fix: ${fix}`);
  }
}

/** Runs a command with its output shown; says whether it ended well. */
function shown(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'inherit' }).status === 0;
}

function pipInstall(python: string, ...args: string[]): boolean {
  return shown(python, ['-m', 'pip', 'install', '--disable-pip-version-check', ...args]);
}

/** Says what is missing before anything is fetched. */
function checkTools(): void {
  const works = (...args: string[]): boolean => spawnSync('python3', args, { stdio: 'ignore' }).status === 0;
  if (!works('--version'))
    throw new InstallError(
      'python3 was not found; the peers run in it',
      'Debian: apt-get install python3 python3-venv python3-pip',
    );
  if (!works('-c', 'import venv, ensurepip'))
    throw new InstallError('python3 cannot make a virtual environment (venv)', 'Debian: apt-get install python3-venv');
  if (spawnSync('g++', ['--version'], { stdio: 'ignore' }).status !== 0)
    console.error('g++ was not found: torch.compile, one of the peers, needs it. Debian: apt-get install g++');
}

function installTorch(environment: string): void {
  checkTools();
  // What is there is not whole: half a download, or a Python that has gone.
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(environment, { recursive: true });
  if (!shown('python3', ['-m', 'venv', environment]))
    throw new InstallError(`no virtual environment could be made in ${environment}`, 'read what it says above');
  const python = pythonIn(environment);
  const small = ['--retries', '0', '--timeout', '20', '--index-url', CPU_INDEX, ...PACKAGES];
  if (!pipInstall(python, ...small) && !pipInstall(python, ...PACKAGES)) {
    rmSync(environment, { recursive: true, force: true });
    throw new InstallError(
      `pip could not fetch ${PACKAGES.join(' and ')}`,
      "check the network, or pip's index and proxy settings; then again",
    );
  }
}

/** Installs what is missing. Returns what to say. */
function install(): string {
  const environment = peerFolder();
  const python = pythonIn(environment);
  const versions = (): string | null => {
    const found = existsSync(python) ? versionsOf(python, [...BENCH_MODULES, 'safetensors']) : null;
    return found === null ? null : JSON.stringify(found);
  };
  const had = versions();
  if (had !== null) return `peers: ${had}, already in ${environment}`;
  if (!existsSync(python) || versionsOf(python) === null) installTorch(environment);
  if (!pipInstall(python, SAFETENSORS))
    throw new InstallError(
      `pip could not fetch ${SAFETENSORS}`,
      "check the network, or pip's index and proxy settings",
    );
  const has = versions();
  if (has === null)
    throw new InstallError(
      'what was installed cannot be imported',
      `${python} -c 'import torch, numpy, safetensors' says why`,
    );
  return `peers: ${has}, in ${environment}`;
}

try {
  console.log(install());
} catch (error) {
  if (!(error instanceof InstallError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
