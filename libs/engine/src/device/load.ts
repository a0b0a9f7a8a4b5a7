/**
 * Loads tfjs with our own binding. One engine a thread: tfjs keeps its state in module globals. Works on the main thread
 * and in worker_threads; threads of one process share libtensorflow's pools, so they do not add speed.
 */
import { existsSync } from 'node:fs';
import { Module, createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { BINDING_FILE, PRELUDE_FILE } from './engine-parts.mjs';
import { toOpAttributes, type Attributes } from '../kernels/attributes.js';
import { backendOf, type Backend, type Tensor, type TF } from './binding.js';
import { checkEnvironment, realEnvironment, type EngineSetting } from './environment.js';
import { EngineError } from '../errors.js';
import { remedyFor, requireFile } from './failures.js';
import { identify, runsNative, type EngineIdentity } from './identity.js';
import { registerRecordableKernels } from '../kernels/recordable-kernels.js';
import { registerReductionGradients } from '../kernels/reduction-gradients.js';

export type EngineOptions = EngineSetting & {
  /** The engine's folder, as engineDirectory() names it and tools/engine/install.mjs makes it. */
  readonly directory: string;
  /** Where compile() keeps graphs, as graphDirectory() names it; nowhere if left out. */
  readonly graphs?: string;
};

export interface Engine {
  readonly tf: TF;
  readonly backend: Backend;
  readonly identity: EngineIdentity;
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

/**
 * Loads the engine, or returns this thread's engine where it was loaded with the same options.
 * @throws {EngineError} E_ENGINE_MISSING, E_ENGINE_ENVIRONMENT, E_ENGINE_GPU, E_ENGINE_LOAD, E_ENGINE_LOADED
 */
export function loadEngine(options: EngineOptions): Engine {
  const { device, threads, directory } = options;
  if (loaded !== undefined) {
    const { options: first } = loaded;
    const same = first.device === device && first.threads === threads && first.directory === directory;
    if (same && first.graphs === options.graphs) return loaded;
    throw new EngineError(
      'E_ENGINE_LOADED',
      `this thread has loaded an engine with ${JSON.stringify(first)}; use that one, or a process of its own for ${JSON.stringify(options)}`,
    );
  }
  const bindingPath = join(directory, BINDING_FILE);
  requireFile(bindingPath, `run: node tools/engine/install.mjs --device ${device}`);
  // Said before the CUDA library is loaded: without a driver it prints errors of its own, and can crash when the process ends.
  if (device === 'cuda' && !DRIVERS.some(existsSync)) throw noGpu();
  checkEnvironment(options, realEnvironment());
  const tf = requireTensorFlow(join(directory, PRELUDE_FILE), bindingPath);
  const backend = backendOf(tf);
  if (device === 'cuda' && !backend.binding.isUsingGpuDevice()) throw noGpu();
  registerReductionGradients(tf);
  registerRecordableKernels(tf, backend);
  loaded = makeEngine(tf, backend, options);
  return loaded;
}

function makeEngine(tf: TF, backend: Backend, options: EngineOptions): Engine {
  const { device, threads } = options;
  const identity = identify({ tensorflow: backend.binding.TF_Version, tfjs: tf.version['tfjs-core'], device, threads });
  return Object.freeze({
    tf,
    backend,
    identity,
    native: runsKernels(identity),
    options: Object.freeze({ ...options }),
    kernel: (op: string, attributes: Attributes, inputs: Tensor[]) =>
      backend.executeSingleOutput(op, toOpAttributes(attributes), inputs),
    kernels: (op: string, attributes: Attributes, inputs: Tensor[], outputs: number) =>
      backend.executeMultipleOutputs(op, toOpAttributes(attributes), inputs, outputs),
  });
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
