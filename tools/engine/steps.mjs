/** The steps of the engine's set-up, each on its own: check the machine, fetch one wheel, unpack it, compile. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf } from '../../apps/cli/bin/foreign.mjs';
import { EngineInstallError } from './errors.mjs';

/** @typedef {import('../../libs/engine/src/device/engine-parts.mjs').Device} Device */
/** @typedef {import('../../libs/engine/src/device/engine-parts.mjs').Wheel} Wheel */
/**
 * How commands are run.
 * @typedef {object} Context
 * @property {NodeJS.ProcessEnv} [env]
 * @property {AbortSignal | undefined} [signal] ends them
 * @property {string} [cwd]
 */

/** Free bytes wanted before starting: the largest wheel, what is unpacked from all of them, and a tenth to spare. */
const DISK_BYTES = { cpu: 1.4e9, cuda: 9e9 };
/** Enough of a failed command's output to see why, little enough to read. */
const OUTPUT_TAIL = 2_000;
/** The oldest C library that the wheels run on (their manylinux_2_27 tag). */
const GLIBC_MINIMUM = [2, 27];

/**
 * Runs a command to its end. Resolves to its exit code (the name of the signal that ended it) and output, or to the system's code
 * where it could not be started: 'ENOENT' where there is no such command.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {Context} [context]
 * @returns {Promise<{ code: number | string, output: string }>}
 */
export function runCommand(command, args, { cwd, env, signal } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (/** @type {string} */ chunk) => (output = (output + chunk).slice(-OUTPUT_TAIL));
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    /** @type {Error | undefined} */
    let aborted;
    child.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      // An interrupted child may still be writing: only its end makes the folder safe to remove.
      if (error.name === 'AbortError') aborted = error;
      else if (error.syscall?.startsWith('spawn')) resolve({ code: error.code ?? error.message, output });
      else reject(error);
    });
    child.on('close', (code, ended) => (aborted ? reject(aborted) : resolve({ code: code ?? String(ended), output })));
  });
}

/**
 * Throws E_ENGINE_PLATFORM unless wheels are published for this system.
 * @param {{ platform: string, arch: string, glibc: string | undefined }} system
 * @param {Device} device
 * @param {readonly Wheel[]} wheels
 */
export function checkPlatform({ platform, arch, glibc }, device, wheels) {
  if (platform !== 'linux')
    throw new EngineInstallError(
      'E_ENGINE_PLATFORM',
      `the engine runs on Linux, this is ${platform}; use the container image in deploy/`,
    );
  if (wheels.length === 0)
    throw new EngineInstallError(
      'E_ENGINE_PLATFORM',
      `no ${device} library is published for linux ${arch}; published are cpu on x64 and arm64, cuda on x64`,
    );
  const [major, minor] = (glibc ?? '0.0').split('.').map(Number);
  if (major < GLIBC_MINIMUM[0] || (major === GLIBC_MINIMUM[0] && minor < GLIBC_MINIMUM[1])) {
    throw new EngineInstallError(
      'E_ENGINE_PLATFORM',
      `the library needs glibc ${GLIBC_MINIMUM.join('.')} or newer, this system has ${glibc ?? 'none (musl?)'}; use a Debian based image`,
    );
  }
}

/**
 * Throws unless python3, its pip and g++ are there: said before a long download, not after.
 * @param {Context} context
 */
export async function checkTools(context) {
  /** @type {[import('./errors.mjs').EngineInstallCode, command: string, purpose: string, packages: string][]} */
  const wanted = [
    ['E_ENGINE_PYTHON', 'python3 --version', 'to fetch and unpack the library', 'python3 python3-pip'],
    ['E_ENGINE_PIP', 'python3 -m pip --version', 'to fetch the library', 'python3-pip'],
    ['E_ENGINE_COMPILER', 'g++ --version', 'to compile the binding', 'g++'],
  ];
  for (const [errorCode, command, purpose, packages] of wanted) {
    const [program, ...args] = command.split(' ');
    const { code, output } = await runCommand(program, args, context);
    if (code === 0) continue;
    const absent = code === 'ENOENT' || /No module named pip/.test(output);
    const how = typeof code === 'number' ? `ended with status ${code}` : `ended by ${code}`;
    const what = absent ? `is not there (${command})` : `does not run: ${command} ${how}`;
    const fix = absent ? ` On Debian: apt-get install ${packages}` : `\n${output}`;
    const name = errorCode === 'E_ENGINE_PIP' ? "python3's pip" : program;
    throw new EngineInstallError(errorCode, `${name}, which is needed ${purpose}, ${what}.${fix}`);
  }
}

/**
 * Makes `dir` and throws E_ENGINE_DISK unless it can be written and has room for the device's libraries.
 * @param {string} dir
 * @param {Device} device
 * @param {(dir: string) => Promise<{ bavail: number, bsize: number }>} [statfsOf]
 */
export async function checkDisk(dir, device, statfsOf = statfs) {
  try {
    await mkdir(dir, { recursive: true });
  } catch (error) {
    throw new EngineInstallError(
      'E_ENGINE_DISK',
      `${dir} cannot be made (${codeOf(error) ?? messageOf(error)}); set LOCKSTEP_CACHE to a folder that can be written`,
      { cause: error },
    );
  }
  const { bavail, bsize } = await statfsOf(dir);
  const free = bavail * bsize;
  if (free < DISK_BYTES[device]) {
    throw new EngineInstallError(
      'E_ENGINE_DISK',
      `${(DISK_BYTES[device] / 1e9).toFixed(1)} GB are needed in ${dir}, ${(free / 1e9).toFixed(1)} GB are free; free some, or set LOCKSTEP_CACHE to a folder on another disk`,
    );
  }
}

/**
 * @param {string} file
 * @param {AbortSignal | undefined} signal
 */
async function sha256OfFile(file, signal) {
  const hash = createHash('sha256');
  /** @type {AsyncIterable<Buffer>} */
  const chunks = createReadStream(file, { signal, highWaterMark: 1 << 20 });
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * Fetches one pinned wheel into `dir` and returns its path. Platform, interpreter and ABI are named explicitly, from the
 * wheel's own file name (PEP 427), so that any local Python will do. pip checks the hash; it is checked again here, for
 * pip can be told by its configuration to take files from elsewhere.
 * @param {Wheel} wheel
 * @param {string} dir
 * @param {Context} context
 */
export async function fetchWheel(wheel, dir, context) {
  const [abi, platforms] = wheel.file
    .replace(/\.whl$/, '')
    .split('-')
    .slice(-2);
  await mkdir(dir, { recursive: true });
  const requirements = join(dir, 'requirements.txt');
  await writeFile(requirements, `${wheel.project}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  const args = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--no-cache-dir',
    '--progress-bar',
    'off',
    '--only-binary=:all:',
    '--require-hashes',
  ];
  args.push('--python-version', '3.11', '--implementation', 'cp', '--abi', abi);
  for (const platform of platforms.split('.')) args.push('--platform', platform);
  const { code, output } = await runCommand('python3', [...args, '--dest', dir, '-r', requirements], context);
  const label = `${wheel.project} ${wheel.version}`;
  if (/DO NOT MATCH THE HASHES/.test(output))
    throw new EngineInstallError(
      'E_ENGINE_HASH',
      `what the registry sent as ${label} is not the pinned file (sha256 ${wheel.sha256}); nothing was kept. Check the mirror that pip is set to use\n${output}`,
    );
  if (/No space left on device/.test(output))
    throw new EngineInstallError(
      'E_ENGINE_DISK',
      `the disk ran full while fetching ${label}; free some space, or set LOCKSTEP_CACHE to a folder on another disk`,
    );
  if (code !== 0)
    throw new EngineInstallError(
      'E_ENGINE_DOWNLOAD',
      `pip could not fetch ${label}; check the network or pip's index and proxy settings, then run this again\n${output}`,
    );
  const path = join(dir, wheel.file);
  if (!(await readdir(dir)).includes(wheel.file))
    throw new EngineInstallError(
      'E_ENGINE_DOWNLOAD',
      `pip ended well but left no ${wheel.file}; run this again with a current pip`,
    );
  const sha256 = await sha256OfFile(path, context.signal);
  if (sha256 !== wheel.sha256)
    throw new EngineInstallError(
      'E_ENGINE_HASH',
      `${wheel.file} has sha256 ${sha256}, pinned is ${wheel.sha256}; nothing was kept. Check the mirror that pip is set to use`,
    );
  return path;
}

/**
 * Of a TensorFlow wheel only the two libraries and the C API's headers are kept; of an nvidia wheel everything below
 * nvidia/ but the headers, in pip's layout, for the library finds CUDA by paths relative to itself. File modes are
 * restored, which zipfile alone does not do: ptxas must stay executable.
 */
const UNZIP = String.raw`
import os, re, sys, zipfile
wheel, target = sys.argv[1:]
keep = re.compile(r'tensorflow/libtensorflow_[a-z]+\.so\.2$|tensorflow/include/(tensorflow/c|tensorflow/core/platform|tensorflow/core/common_runtime/next_pluggable_device|tsl|xla)/.*\.(h|inc)$|nvidia/(?!.*/include/)')
with zipfile.ZipFile(wheel) as z:
    for info in z.infolist():
        if keep.match(info.filename) and not info.is_dir():
            path = z.extract(info, target)
            mode = info.external_attr >> 16
            os.chmod(path, 0o755 if mode & 0o100 else 0o644)
`;

/**
 * Unpacks what is needed of a wheel into `dir`.
 * @param {string} path
 * @param {string} dir
 * @param {Context} context
 */
export async function unzipWheel(path, dir, context) {
  const { code, output } = await runCommand('python3', ['-c', UNZIP, path, dir], context);
  if (/No space left on device/.test(output))
    throw new EngineInstallError(
      'E_ENGINE_DISK',
      `the disk ran full while unpacking into ${dir}; free some space, or set LOCKSTEP_CACHE to a folder on another disk`,
    );
  if (code !== 0)
    throw new EngineInstallError('E_ENGINE_UNZIP', `${path} could not be unpacked; run this again\n${output}`);
}

/**
 * Compiles binding, kernels and prelude inside `dir`.
 * @param {readonly string[][]} calls arguments of g++
 * @param {string} dir
 * @param {Context} context
 */
export async function compile(calls, dir, context) {
  for (const args of calls) {
    const { code, output } = await runCommand('g++', args, { ...context, cwd: dir });
    if (code !== 0)
      throw new EngineInstallError(
        'E_ENGINE_COMPILE',
        `g++ could not compile the binding and kernels (${typeof code === 'number' ? 'status' : 'ended by'} ${code}); it says below why, if it does. It must know C++17: g++ 9 or newer\n${output}`,
      );
  }
}
