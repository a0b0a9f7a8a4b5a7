import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { cacheDirectoryIn } from '@lockstep/config';
import { engineDirectory } from '#src/device/directory.js';
import { SETTING, testEngine } from '../engine.fixture.js';
import { checkEnvironment, engineEnvironment, realEnvironment } from '#src/device/environment.js';
import { EngineError } from '#src/errors.js';
import { remedyFor } from '#src/device/failures.js';
import { cpuFlags } from '#src/device/identity.js';
import { loadEngine } from '#src/device/load.js';

const require = createRequire(import.meta.url);
// What Node 23 took away is taken away on every Node before the engine is loaded.
const util: unknown = require('node:util');
if (typeof util === 'object' && util !== null) Reflect.deleteProperty(util, 'isNullOrUndefined');
const code = (expected: string) => (error: unknown) =>
  error instanceof EngineError && error.code === expected && error.message.startsWith(expected);

test('a folder without an engine is refused with the command that makes one', () => {
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-none-'));
  try {
    assert.throws(
      () => loadEngine({ ...SETTING, engine: 'tensorflow', directory }),
      (error) => code('E_ENGINE_MISSING')(error) && /install\.mjs --device cpu/.test(String(error)),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('an engine that is there and cannot be read is not called missing, and what to do follows from what the system said', () => {
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-loop-'));
  try {
    // A link to itself, which root cannot read either.
    symlinkSync('tfjs_binding.node', join(directory, 'tfjs_binding.node'));
    assert.throws(
      () => loadEngine({ ...SETTING, engine: 'tensorflow', directory }),
      (error) => code('E_ENGINE_LOAD')(error) && /ELOOP/.test(String(error)) && !/install\.mjs/.test(String(error)),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
  const advice = (message: string, errorCode: string): string =>
    remedyFor(Object.assign(new Error(message), { code: errorCode }), '/engine');
  assert.equal(advice("Cannot find module 'long'", 'MODULE_NOT_FOUND'), 'run: npm ci');
  assert.match(advice('x.so: cannot open shared object file: Too many open files', 'ERR_DLOPEN_FAILED'), /ulimit -n/);
  assert.match(advice('x.so: failed to map segment from shared object', 'ERR_DLOPEN_FAILED'), /ulimit -v/);
  assert.match(advice('x.so: file too short', 'ERR_DLOPEN_FAILED'), /remove \/engine and run/);
});

const driver = ['/dev/nvidiactl', '/dev/dxg'].find(existsSync);
test('a CUDA engine on a machine without a driver is refused before its library is loaded', { skip: driver }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-cuda-'));
  try {
    // Not a library: loading it would be another error.
    writeFileSync(join(directory, 'tfjs_binding.node'), '');
    assert.throws(
      () => loadEngine({ device: 'cuda', threads: 1, engine: 'tensorflow', directory }),
      code('E_ENGINE_GPU'),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('an engine is not loaded into a process whose environment leaves the threads open', () => {
  const directory = engineDirectory('cpu', cacheDirectoryIn(process.env));
  for (const name of Object.keys(engineEnvironment(SETTING))) Reflect.deleteProperty(process.env, name);
  assert.throws(
    () => loadEngine({ ...SETTING, engine: 'tensorflow', directory }),
    (error) => code('E_ENGINE_ENVIRONMENT')(error) && /TF_NUM_INTEROP_THREADS=1 \(is unset\)/.test(String(error)),
  );
});

test('the engine is the pinned TensorFlow, loaded without a file in node_modules', () => {
  const { identity, tf } = testEngine();
  assert.equal(identity.tensorflow, '2.21.0');
  assert.equal(identity.threads, 1);
  assert.equal(tf.getBackend(), 'tensorflow');
  assert.equal(existsSync(join(dirname(require.resolve('@tensorflow/tfjs-node-gpu/package.json')), 'lib')), false);
  const locator = createRequire(require.resolve('@tensorflow/tfjs-node-gpu')).resolve('@mapbox/node-pre-gyp');
  assert.equal(require.cache[locator], undefined, 'the stand-in for node-pre-gyp is taken out again');
});

test('an op whose wrapper calls what Node 23 removed from util works on every Node', () => {
  const { tf } = testEngine();
  const { values, indices } = tf.topk(tf.tensor1d([3, 9, 4]), 2);
  assert.deepEqual([...values.dataSync(), ...indices.dataSync()], [9, 4, 1, 2]);
});

test('a thread has one engine: the same options give it again, others are refused', () => {
  const engine = testEngine();
  assert.equal(testEngine(), engine);
  assert.throws(
    () => loadEngine({ device: 'cpu', threads: 2, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)) }),
    code('E_ENGINE_LOADED'),
  );
});

test('gradients of sum and mean spread dy over the summed axes, also negative ones', () => {
  const { tf } = testEngine();
  const x = tf.tensor2d([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  const weights = tf.tensor1d([10, 20]);
  const sums = tf.grad((t) => tf.sum(tf.mul(tf.sum(t, -1), weights)))(x);
  const means = tf.grad((t) => tf.sum(tf.mul(tf.mean(t, [1]), weights)))(x);
  assert.deepEqual([...sums.dataSync()], [10, 10, 10, 20, 20, 20]);
  assert.deepEqual(
    [...means.dataSync()].map((value) => value.toFixed(4)),
    ['3.3333', '3.3333', '3.3333', '6.6667', '6.6667', '6.6667'],
  );
  const whole = tf.grad((t) => tf.mul(tf.mean(t), 12))(x);
  assert.deepEqual(
    [...whole.dataSync()].map((value) => value.toFixed(4)),
    Array(6).fill('2.0000'),
  );
});

test('engineEnvironment names both thread pools, and growth and determinism on a GPU', () => {
  assert.equal(engineEnvironment({ device: 'cpu', threads: 2 })['TF_NUM_INTEROP_THREADS'], '2');
  assert.equal(engineEnvironment({ device: 'cuda', threads: 1 })['TF_FORCE_GPU_ALLOW_GROWTH'], 'true');
  assert.equal(engineEnvironment({ device: 'cuda', threads: 1 })['TF_DETERMINISTIC_OPS'], '1');
  assert.throws(() => engineEnvironment({ device: 'cpu', threads: 0 }), { code: 'E_ENGINE_OPTION' });
});

test('checkEnvironment insists on what changes results and not on the log level', () => {
  const rest = { ...engineEnvironment(SETTING), TF_CPP_MIN_LOG_LEVEL: '0' };
  assert.doesNotThrow(() => checkEnvironment(SETTING, rest));
  assert.throws(() => checkEnvironment(SETTING, { ...rest, TF_ENABLE_ONEDNN_OPTS: '0' }), code('E_ENGINE_ENVIRONMENT'));
});

test('realEnvironment in a worker is the environment of the process, not the copy that the worker may have changed', async () => {
  const source = `
    import { parentPort } from 'node:worker_threads';
    import { realEnvironment } from ${JSON.stringify(import.meta.resolve('#src/device/environment.js'))};
    process.env.LOCKSTEP_TEST = 'changed in the worker';
    parentPort.postMessage(realEnvironment().LOCKSTEP_TEST ?? 'unset');`;
  process.env['LOCKSTEP_TEST'] = 'set on the main thread';
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const seen = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  assert.equal(seen, 'set on the main thread');
  assert.equal(realEnvironment()['LOCKSTEP_TEST'], 'set on the main thread');
});

test("the engine's folder is named by its parts and device, in the cache", () => {
  assert.match(engineDirectory('cpu', '/a'), /^\/a\/engine\/tensorflow-2\.21\.0-cpu-\w+-[0-9a-f]{16}$/);
  assert.notEqual(engineDirectory('cuda', '/a'), engineDirectory('cpu', '/a'));
});

test('of the processor flags only those that choose kernels are kept, sorted', () => {
  assert.deepEqual(cpuFlags('flags\t\t: sse fma avx2 avx512f amx_tile hypervisor\n'), [
    'amx_tile',
    'avx2',
    'avx512f',
    'fma',
  ]);
  assert.deepEqual(cpuFlags('nothing here'), []);
});
