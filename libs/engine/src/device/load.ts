/**
 * What computes: programs of our own kernels, or TensorFlow's sessions. Either way networks are written in tfjs, which is loaded with our
 * own binding: at once for sessions, and for programs when something is recorded, or run op by op; a program that is found on disk needs
 * none of it. One engine a thread: tfjs keeps its state in module globals. Works on the main thread and in worker_threads; threads of
 * one process share libtensorflow's pools, so they do not add speed.
 */
import { existsSync } from 'node:fs';
import { Module, createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { DEFAULT_ENGINE, type EngineName } from '@lockstep/base';
import { BINDING_FILE, PRELUDE_FILE, programsDir, TENSORFLOW_VERSION } from './engine-parts.mjs';
import { toOpAttributes, type Attributes } from '../kernels/attributes.js';
import { backendOf, type Backend, type Tensor, type TF } from './binding.js';
import { checkEnvironment, realEnvironment, type EngineSetting } from './environment.js';
import { EngineError } from '../errors.js';
import { remedyFor, requireFile } from './failures.js';
import { identify, runsNative, type EngineIdentity } from './identity.js';
import { kernelTarget, loadPrograms, type NativePrograms } from '../program/native-programs.js';
import { registerRecordableKernels } from '../kernels/recordable-kernels.js';
import { registerReductionGradients } from '../kernels/reduction-gradients.js';

export type EngineOptions = EngineSetting & {
  /** The engine's folder, as engineDirectory() names it and tools/engine/install.mjs makes it. */
  readonly directory: string;
  /** Where compile() keeps graphs, as graphDirectory() names it; nowhere if left out. */
  readonly graphs?: string;
  /** That of new runs, where it is left out. */
  readonly engine?: EngineName;
  /** Which of our kernels programs use: plain, avx2, avx512; the fastest that the processor runs if left out. No bit depends on it. */
  readonly kernels?: string;
};

/** What runs programs in this thread. */
export type ProgramRunner = { readonly native: NativePrograms; readonly target: string };

export interface Engine {
  /** Loads TensorFlow where nothing has needed it yet. @throws {EngineError} as loadEngine */
  readonly tf: TF;
  /** As `tf`. */
  readonly backend: Backend;
  readonly identity: EngineIdentity;
  /** Null where the engine is TensorFlow. */
  readonly programs: ProgramRunner | null;
  /** Whether our own kernels (native/) are used where they fit; without them the same is composed of TensorFlow's ops. */
  readonly native: boolean;
  readonly options: EngineOptions;
  /** Runs one TensorFlow op of one output, by its own name, with its own attributes. */
  kernel(op: string, attributes: Attributes, inputs: Tensor[]): Tensor;
  /** As `kernel`, for an op of `outputs` outputs. */
  kernels(op: string, attributes: Attributes, inputs: Tensor[], outputs: number): Tensor[];
}

/** What NVIDIA's driver is reached by: on Linux, and on Linux inside Windows. */
const DRIVERS = ['/dev/nvidiactl', '/dev/dxg'];
const PACKAGE = '@tensorflow/tfjs-node-gpu';
const require = createRequire(import.meta.url);
let loaded: Engine | undefined;

const OPTIONS = ['device', 'threads', 'directory', 'graphs', 'engine', 'kernels'] as const;

/**
 * Loads the engine, or returns this thread's engine where it was loaded with the same options.
 * @throws {EngineError} E_ENGINE_MISSING, E_ENGINE_ENVIRONMENT, E_ENGINE_GPU, E_ENGINE_LOAD, E_ENGINE_LOADED, E_ENGINE_OPTION
 */
export function loadEngine(options: EngineOptions): Engine {
  if (loaded !== undefined) {
    const { options: first } = loaded;
    if (OPTIONS.every((name) => first[name] === options[name])) return loaded;
    throw new EngineError(
      'E_ENGINE_LOADED',
      `this thread has loaded an engine with ${JSON.stringify(first)}; use that one, or a process of its own for ${JSON.stringify(options)}`,
    );
  }
  loaded = (options.engine ?? DEFAULT_ENGINE) === 'tensorflow' ? sessionEngine(options) : programEngine(options);
  return loaded;
}

type Loaded = { readonly tf: TF; readonly backend: Backend };

function sessionEngine(options: EngineOptions): Engine {
  const tensorflow = loadTensorFlow(options);
  return makeEngine(options, () => tensorflow, null);
}

function programEngine(options: EngineOptions): Engine {
  const { device, directory } = options;
  if (device !== 'cpu')
    throw new EngineError(
      'E_ENGINE_OPTION',
      `programs run on the processor, and the device is ${device}: for that device choose the engine tensorflow`,
    );
  // The folder engine/ of the cache holds both.
  const native = loadPrograms(programsDir({ cacheDir: dirname(dirname(directory)) }));
  const target = kernelTarget(native, options.kernels);
  let tensorflow: Loaded | undefined;
  return makeEngine(options, () => (tensorflow ??= loadTensorFlow(options)), { native, target });
}

function loadTensorFlow(options: EngineOptions): Loaded {
  const { device, directory } = options;
  const bindingPath = join(directory, BINDING_FILE);
  requireFile(bindingPath, `run: node tools/engine/install.mjs --device ${device}`);
  // Said before the CUDA library is loaded: without a driver it prints errors of its own, and can crash when the process ends.
  if (device === 'cuda' && !DRIVERS.some(existsSync)) throw noGpu();
  checkEnvironment(options, realEnvironment());
  const tf = requireTensorFlow(join(directory, PRELUDE_FILE), bindingPath);
  const backend = backendOf(tf);
  if (device === 'cuda' && !backend.binding.isUsingGpuDevice()) throw noGpu();
  if (backend.binding.TF_Version !== TENSORFLOW_VERSION)
    throw new EngineError(
      'E_ENGINE_LOAD',
      `${directory} holds TensorFlow ${backend.binding.TF_Version}, and ${TENSORFLOW_VERSION} belongs there; remove the folder and run: node tools/engine/install.mjs --device ${device}`,
    );
  registerReductionGradients(tf);
  registerRecordableKernels(tf, backend);
  return { tf, backend };
}

/** @param tensorflow gives the same each time */
function makeEngine(options: EngineOptions, tensorflow: () => Loaded, programs: ProgramRunner | null): Engine {
  const { device, threads } = options;
  const identity = identify({
    engine: programs === null ? 'tensorflow' : 'program',
    kernels: programs?.target ?? 'tensorflow',
    tensorflow: TENSORFLOW_VERSION,
    tfjs: tfjsVersion(),
    device,
    threads,
  });
  return Object.freeze({
    get tf() {
      return tensorflow().tf;
    },
    get backend() {
      return tensorflow().backend;
    },
    identity,
    programs,
    native: runsKernels(identity),
    options: Object.freeze({ ...options }),
    kernel: (op: string, attributes: Attributes, inputs: Tensor[]) =>
      tensorflow().backend.executeSingleOutput(op, toOpAttributes(attributes), inputs),
    kernels: (op: string, attributes: Attributes, inputs: Tensor[], outputs: number) =>
      tensorflow().backend.executeMultipleOutputs(op, toOpAttributes(attributes), inputs, outputs),
  });
}

/** Of the package that is installed, without loading it. */
function tfjsVersion(): string {
  const { version } = require('@tensorflow/tfjs-core/package.json') as { version: string };
  return version;
}

/** The kernels are compiled for the CPU, on x86 with AVX2 and FMA (engine-parts.mjs). */
function runsKernels({ device, arch, cpuFlags }: EngineIdentity): boolean {
  return device === 'cpu' && runsNative(arch, cpuFlags);
}

function noGpu(): EngineError {
  return new EngineError(
    'E_ENGINE_GPU',
    'the CUDA engine finds no GPU; check nvidia-smi, CUDA_VISIBLE_DEVICES and the container runtime, or set LOCKSTEP_DEVICE=cpu',
  );
}

/**
 * The package's index.js asks @mapbox/node-pre-gyp for the path of the binding inside node_modules, where `npm ci` would
 * delete it and a read-only image could not hold it. So while index.js is loaded, the module cache answers for
 * node-pre-gyp with a one-function stand-in that names our file: nothing is written, nothing is patched, and whoever
 * requires node-pre-gyp later gets the real one.
 */
function requireTensorFlow(preludePath: string, bindingPath: string): TF {
  let locator: string | undefined;
  let cached: NodeJS.Module | undefined;
  try {
    shimUtil();
    require(preludePath);
    loadForGood(bindingPath);
    locator = createRequire(require.resolve(PACKAGE)).resolve('@mapbox/node-pre-gyp');
    cached = require.cache[locator];
    const standIn = new Module(locator);
    standIn.exports = { find: () => bindingPath };
    standIn.loaded = true;
    require.cache[locator] = standIn;
    const tf: unknown = require(PACKAGE);
    if (isTensorFlow(tf)) return tf;
    throw new TypeError('the package does not export tfjs');
  } catch (error) {
    throw new EngineError(
      'E_ENGINE_LOAD',
      `${PACKAGE} or ${bindingPath} could not be loaded: ${error instanceof Error ? error.message : String(error)}; ${remedyFor(error, dirname(bindingPath))}`,
      { cause: error },
    );
  } finally {
    if (locator !== undefined) {
      if (cached === undefined) Reflect.deleteProperty(require.cache, locator);
      else require.cache[locator] = cached;
    }
  }
}

/** glibc's flag of dlopen, which Node does not name. */
const RTLD_NODELETE = 0x1000;

/**
 * Loads the binding so that it and TensorFlow stay in memory until the process ends. Node unloads what a thread has loaded when
 * that thread ends, but TensorFlow leaves the C library an address to call at the end of the process: with another library's
 * memory there, or none, the process ends by SIGSEGV in place of its status.
 */
function loadForGood(bindingPath: string): void {
  if (require.cache[bindingPath] !== undefined) return;
  const binding = new Module(bindingPath);
  process.dlopen(binding, bindingPath, constants.dlopen.RTLD_LAZY | RTLD_NODELETE);
  binding.loaded = true;
  require.cache[bindingPath] = binding;
}

function isTensorFlow(value: unknown): value is TF {
  return typeof value === 'object' && value !== null && 'tidy' in value && 'customGrad' in value && 'backend' in value;
}

/** The package calls two functions that Node 22 warns about and Node 23 took away. Replaced everywhere, so that no version differs. */
function shimUtil(): void {
  const util: unknown = require('node:util');
  if (typeof util !== 'object' || util === null) return;
  const define = (name: string, value: (argument: unknown) => boolean): void => {
    Object.defineProperty(util, name, { value, configurable: true, writable: true, enumerable: false });
  };
  define('isNullOrUndefined', (argument) => argument === null || argument === undefined);
  define('isArray', (argument) => Array.isArray(argument));
}
