/**
 * libtensorflow takes its threads, log level and GPU behaviour from the environment of the process, when it is loaded:
 * there is no other way in through the binding. The variables must therefore be in the real environment (setenv) by then.
 * Assigning to process.env does that on the main thread only; in a worker_thread process.env is a copy.
 */
import { EngineError } from '../errors.js';
import type { Device } from './device.js';

/** What an engine is loaded for. Threads are part of the numerics class: filter gradients differ between 1 and 2. */
export type EngineSetting = { readonly device: Device; readonly threads: number };

/** More threads than any machine sold has cores: catches a swapped argument. */
const MAX_THREADS = 1024;

/**
 * The environment in which an engine must be loaded: merge it into a child's environment, or on the main thread
 * `Object.assign(process.env, engineEnvironment(setting))` before any thread loads the engine. CUDA_VISIBLE_DEVICES is
 * the caller's: one process uses one GPU, the last one listed.
 * @throws {EngineError} E_ENGINE_OPTION where threads is not a whole number from 1 to 1024
 */
export function engineEnvironment({ device, threads }: EngineSetting): Record<string, string> {
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS)
    throw new EngineError('E_ENGINE_OPTION', `threads are ${threads}: use a whole number from 1 to ${MAX_THREADS}`);
  const common = {
    TF_NUM_INTRAOP_THREADS: String(threads),
    // Left unset, inter-op takes every core, whatever intra-op is.
    TF_NUM_INTEROP_THREADS: String(threads),
    // Left unset, TensorFlow leaves oneDNN off on processors without AVX-512 VNNI, at 1.3 times the time and with other bits.
    TF_ENABLE_ONEDNN_OPTS: '1',
    TF_CPP_MIN_LOG_LEVEL: '2',
  };
  switch (device) {
    case 'cpu':
      return common;
    case 'cuda':
      return { ...common, TF_FORCE_GPU_ALLOW_GROWTH: 'true', TF_DETERMINISTIC_OPS: '1' };
    default:
      throw new EngineError('E_ENGINE_OPTION', `the device is ${String(device satisfies never)}: use cpu or cuda`);
  }
}

/** Variables that change no result and are not insisted on. */
const OPTIONAL = new Set(['TF_CPP_MIN_LOG_LEVEL']);

/**
 * Throws E_ENGINE_ENVIRONMENT unless `actual`, the real environment of the process, has what engineEnvironment asks for.
 */
export function checkEnvironment(setting: EngineSetting, actual: Readonly<Record<string, string | undefined>>): void {
  const wanted = Object.entries(engineEnvironment(setting)).filter(([name]) => !OPTIONAL.has(name));
  const wrong = wanted.filter(([name, value]) => actual[name] !== value);
  if (wrong.length === 0) return;
  const list = wrong.map(([name, value]) => `${name}=${value} (is ${actual[name] ?? 'unset'})`).join(', ');
  throw new EngineError(
    'E_ENGINE_ENVIRONMENT',
    `the process needs ${list}; start it with engineEnvironment(), or assign that to process.env on the main thread before anything loads the engine`,
  );
}

/**
 * The environment as the C library sees it, from any thread: a worker's process.env may say otherwise. Node's diagnostic
 * report reads it with uv_os_environ; the report's network part, which can block on name look-ups, is left out.
 */
export function realEnvironment(): Record<string, string | undefined> {
  const { report } = process;
  const before: unknown = Reflect.get(report, 'excludeNetwork');
  Reflect.set(report, 'excludeNetwork', true);
  try {
    const content: unknown = report.getReport();
    if (typeof content === 'object' && content !== null && 'environmentVariables' in content)
      return { ...(content.environmentVariables ?? {}) };
    return { ...process.env };
  } finally {
    Reflect.set(report, 'excludeNetwork', before === true);
  }
}
