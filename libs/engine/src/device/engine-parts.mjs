/**
 * What the tensor engine is made of, and where it lies: the one rule that both the set-up script (tools/engine, which must
 * run before anything is built) and the library (libs/engine) follow. Plain JavaScript for that reason, checked by the
 * compiler; the set-up reads this file, the library the copy of it in dist, as deep in the package.
 *
 * engine  = the Node-API binding of @tensorflow/tfjs-node-gpu, compiled against a current libtensorflow, beside that library.
 * cache   = the folder that outlives node_modules, handed in (libs/config finds it in the environment).
 * key     = name of the engine's folder: a digest of everything that decides its bytes, so that changed parts never
 *           meet an old build.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/** @typedef {'cpu' | 'cuda'} Device */
/**
 * A file of PyPI.
 * @typedef {object} Wheel
 * @property {string} project
 * @property {string} version
 * @property {string} file
 * @property {string} sha256
 */
/**
 * Where what we compile is read from.
 * @typedef {object} SourceFolders
 * @property {string} sourceDir the binding's source
 * @property {string} headersDir the headers of the Node-API
 */

export const TENSORFLOW_VERSION = '2.21.0';
/** @type {readonly Device[]} */
export const DEVICES = Object.freeze(['cpu', 'cuda']);
export const BINDING_FILE = 'tfjs_binding.node';
export const PRELUDE_FILE = 'prelude.node';
export const PASSES_FILE = 'passes.node';
export const PROGRAMS_FILE = 'programs.node';
/** What is compiled here: an engine lacks none of them. */
export const COMPILED_FILES = Object.freeze([BINDING_FILE, PRELUDE_FILE, PASSES_FILE]);
export const STAMP_FILE = 'engine.json';

const require = createRequire(import.meta.url);

/** @typedef {[project: string, version: string, file: string, sha256: string]} WheelLine the sha256 is the one that the registry publishes */

/**
 * Wheels that hold the CUDA libraries. The set is what `pip install tensorflow[and-cuda]==2.21.0` resolves to, minus the pure Python parts.
 * @type {WheelLine[]}
 */
const CUDA_X64 = [
  [
    'tensorflow',
    '2.21.0',
    'tensorflow-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
    '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
  ],
  [
    'nvidia-cublas-cu12',
    '12.9.3.13',
    'nvidia_cublas_cu12-12.9.3.13-py3-none-manylinux_2_27_x86_64.whl',
    'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
  ],
  [
    'nvidia-cuda-cupti-cu12',
    '12.8.90',
    'nvidia_cuda_cupti_cu12-12.8.90-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    'ea0cb07ebda26bb9b29ba82cda34849e73c166c18162d3913575b0c9db9a6182',
  ],
  [
    'nvidia-cuda-nvcc-cu12',
    '12.9.86',
    'nvidia_cuda_nvcc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
  ],
  [
    'nvidia-cuda-nvrtc-cu12',
    '12.9.86',
    'nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
  ],
  [
    'nvidia-cuda-runtime-cu12',
    '12.9.79',
    'nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
  ],
  [
    'nvidia-cudnn-cu12',
    '9.28.0.42',
    'nvidia_cudnn_cu12-9.28.0.42-py3-none-manylinux_2_27_x86_64.whl',
    '9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375',
  ],
  [
    'nvidia-cufft-cu12',
    '11.4.1.4',
    'nvidia_cufft_cu12-11.4.1.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
  ],
  [
    'nvidia-curand-cu12',
    '10.3.10.19',
    'nvidia_curand_cu12-10.3.10.19-py3-none-manylinux_2_27_x86_64.whl',
    '49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e',
  ],
  [
    'nvidia-cusolver-cu12',
    '11.7.5.82',
    'nvidia_cusolver_cu12-11.7.5.82-py3-none-manylinux_2_27_x86_64.whl',
    '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
  ],
  [
    'nvidia-cusparse-cu12',
    '12.5.10.65',
    'nvidia_cusparse_cu12-12.5.10.65-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl',
    '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
  ],
  [
    'nvidia-nccl-cu12',
    '2.32.3',
    'nvidia_nccl_cu12-2.32.3-py3-none-manylinux_2_27_x86_64.whl',
    'bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c',
  ],
  [
    'nvidia-nvjitlink-cu12',
    '12.9.86',
    'nvidia_nvjitlink_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl',
    'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
  ],
];
/** By `device-arch`. @type {Partial<Record<string, WheelLine[]>>} */
const WHEELS = {
  'cpu-x64': [
    [
      'tensorflow-cpu',
      '2.21.0',
      'tensorflow_cpu-2.21.0-cp311-cp311-manylinux_2_27_x86_64.whl',
      '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
    ],
  ],
  // On aarch64 the project publishes one wheel, without CUDA, under the plain name.
  'cpu-arm64': [
    [
      'tensorflow',
      '2.21.0',
      'tensorflow-2.21.0-cp311-cp311-manylinux_2_27_aarch64.whl',
      '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
    ],
  ],
  'cuda-x64': CUDA_X64,
};

/**
 * The pinned wheels of one device and architecture (Node's names: x64, arm64); an empty list where none is published.
 * @param {Device} device
 * @param {string} arch
 * @returns {Wheel[]}
 */
export function wheelsFor(device, arch) {
  return (WHEELS[`${device}-${arch}`] ?? []).map(([project, version, file, sha256]) => ({
    project,
    version,
    file,
    sha256,
  }));
}

/** The folder of the npm package that ships the binding's source. Throws MODULE_NOT_FOUND before `npm ci`. */
export function bindingPackageDir() {
  return dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json'));
}

/** The folder of the Node-API headers: from a package, not from the local node, which may come without headers. */
export function nodeApiHeadersDir() {
  return join(dirname(require.resolve('node-api-headers/package.json')), 'include');
}

/** The folder of our own kernels' source. */
export function kernelsDir() {
  return join(import.meta.dirname, '..', '..', 'native');
}

/** The folder of the source of programs: their kernels, and what runs them. */
export function programSourceDir() {
  return join(kernelsDir(), 'program');
}

/**
 * @param {string} dir
 * @param {string} suffix
 */
function filesIn(dir, suffix) {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map(({ name }) => join(dir, name))
    .sort();
}

/**
 * Processor features that the kernels are compiled for, and without which they are not used (libs/engine, identity.ts).
 * Their results are the same with or without: only explicit multiply-adds are fused.
 * @type {Partial<Record<string, string[]>>}
 */
const PROCESSOR_FLAGS = { x64: ['-mavx2', '-mfma'], arm64: [] };

/**
 * What the kernels of programs are compiled for: a name, how many numbers they compute on at once, and the compiler's flags. Which is
 * used is decided when a process starts. `wide` is for tests: the form of avx512 without its instructions.
 * @typedef {readonly [name: string, lanes: number, flags: readonly string[]]} ProgramTarget
 */
/** Their time goes into multiply-adds by function calls, whatever the compiler does: it need not take long. @type {readonly ProgramTarget[]} */
const PORTABLE_TARGETS = [
  ['plain', 4, ['-O1']],
  ['wide', 16, ['-O1']],
];
/** @type {readonly (readonly [needs: readonly string[], target: ProgramTarget])[]} */
const PROCESSOR_TARGETS = [
  [
    ['avx2', 'fma'],
    ['avx2', 8, ['-mavx2', '-mfma']],
  ],
  [
    ['avx2', 'fma', 'avx512f', 'avx512dq'],
    ['avx512', 16, ['-mavx2', '-mfma', '-mavx512f', '-mavx512dq', '-mprefer-vector-width=512']],
  ],
];

/**
 * Targets that a processor of these features runs: what it does not run is not compiled, as each takes long.
 * @param {readonly string[]} flags as /proc/cpuinfo names them
 * @returns {readonly ProgramTarget[]}
 */
export function programTargets(flags) {
  const own = PROCESSOR_TARGETS.filter(([needs]) => needs.every((flag) => flags.includes(flag)));
  return [...PORTABLE_TARGETS, ...own.map(([, target]) => target)];
}

/**
 * The processor's features that a /proc/cpuinfo text names, as x86 and as ARM have it.
 * @param {string} cpuinfo
 */
export function flagsIn(cpuinfo) {
  return /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(' ') ?? [];
}

/** The features of this machine's processor; none where they are not told. */
export function processorFlags() {
  try {
    return flagsIn(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    // Not Linux: plain kernels.
    return [];
  }
}

/**
 * Arguments of the compiler, one list a call, by which programs.node is made in the folder in which they are run.
 * @param {{ headersDir: string, targets: readonly ProgramTarget[] }} options
 * @returns {string[][]}
 */
export function programArguments({ headersDir, targets }) {
  const dir = programSourceDir();
  const common = [
    ...['-std=c++17', '-O3', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math', '-fPIC', '-w', '-pthread'],
    ...['-DNAPI_VERSION=8', '-I', headersDir],
  ];
  const objects = targets.map(([name]) => `program-${name}.o`);
  return [
    ...targets.map(([name, lanes, flags]) => [
      ...[...common, ...flags, `-DLOCKSTEP_TARGET=${name}`, `-DLOCKSTEP_LANES=${lanes}`],
      ...['-c', join(dir, 'target.cc'), '-o', `program-${name}.o`],
    ]),
    [
      ...[...common, '-shared', ...targets.map(([name]) => `-DLOCKSTEP_WITH_${name}`)],
      ...[...filesIn(dir, '.cc').filter((path) => basename(path) !== 'target.cc'), ...objects, '-o', PROGRAMS_FILE],
    ],
  ];
}

/**
 * Arguments of g++, one list a call, run inside the engine's folder, where the wheel's files lie under tensorflow/: the
 * binding and our kernels become one library, the prelude and the passes one each. TensorFlow is found relative to them ($ORIGIN), so that
 * the folder can be moved or mounted elsewhere.
 * @param {SourceFolders & { arch?: string }} options
 * @returns {string[][]}
 */
export function compileArguments({ sourceDir, headersDir, arch = process.arch }) {
  const common = [
    ...['-std=c++17', '-O3', '-ffp-contract=off', '-fPIC', '-shared', '-w', '-pthread', '-DNAPI_VERSION=8'],
    ...(PROCESSOR_FLAGS[arch] ?? []),
    ...['-I', headersDir, '-I', 'tensorflow/include', '-L', 'tensorflow', '-Wl,-rpath,$ORIGIN/tensorflow'],
  ];
  return [
    [
      ...[...common, '-I', sourceDir],
      ...[join(sourceDir, 'binding/tfjs_backend.cc'), join(sourceDir, 'binding/tfjs_binding.cc')],
      ...[...filesIn(kernelsDir(), '.cc'), '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
      ...['-o', BINDING_FILE],
    ],
    [...[...common, join(kernelsDir(), 'prelude.cpp'), '-ldl'], ...['-o', PRELUDE_FILE]],
    // Without errno for the root of a negative number, which there is none of, roots are taken several at a time.
    [...[...common, '-fno-math-errno', join(kernelsDir(), 'passes.cpp')], ...['-o', PASSES_FILE]],
  ];
}

/**
 * Name of the engine's folder: `tensorflow-2.21.0-cpu-x64-<first 16 hex digits of sha256 over its parts>`.
 * @param {{ device: Device, arch?: string }} options
 */
export function engineKey({ device, arch = process.arch }) {
  const sources = join(bindingPackageDir(), 'binding');
  const hash = createHash('sha256');
  const put = (/** @type {string} */ text) => hash.update(`${Buffer.byteLength(text)}:`).update(text);
  for (const path of [...filesIn(sources, ''), ...filesIn(kernelsDir(), '')]) {
    put(basename(path));
    put(readFileSync(path, 'utf8'));
  }
  const calls = compileArguments({ sourceDir: '', headersDir: '', arch });
  put(JSON.stringify(calls.map((call) => call.map((argument) => basename(argument)))));
  put(JSON.stringify(wheelsFor(device, arch)));
  return `tensorflow-${TENSORFLOW_VERSION}-${device}-${arch}-${hash.digest('hex').slice(0, 16)}`;
}

/**
 * The engine's folder, whether or not it has been made.
 * @param {{ device: Device, cacheDir: string }} options
 */
export function engineDir({ device, cacheDir }) {
  return join(cacheDir, 'engine', engineKey({ device }));
}

/**
 * The folder of programs.node, whether or not it has been made: named by all that decides its bytes, as the engine's is.
 * @param {{ cacheDir: string, arch?: string }} options
 */
export function programsDir({ cacheDir, arch = process.arch }) {
  const hash = createHash('sha256');
  const put = (/** @type {string} */ text) => hash.update(`${Buffer.byteLength(text)}:`).update(text);
  for (const path of [programSourceDir(), join(programSourceDir(), 'kernels')].flatMap((dir) => filesIn(dir, ''))) {
    put(basename(path));
    put(readFileSync(path, 'utf8'));
  }
  const calls = programArguments({ headersDir: '', targets: programTargets(processorFlags()) });
  put(JSON.stringify(calls.map((call) => call.map((argument) => basename(argument)))));
  return join(cacheDir, 'engine', `programs-${arch}-${hash.digest('hex').slice(0, 16)}`);
}
