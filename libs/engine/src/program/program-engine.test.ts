import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { assertClose, NET_SPECS, netInputs, netStep, numbersOf, testEngineOf } from '../engine.fixture.js';
import { EngineError } from '#src/errors.js';
import { compile } from '#src/program/compile.js';
import { runEager } from '#src/program/eager.js';
import { kernelTarget } from '#src/program/native-programs.js';
import type { TensorFunction } from '#src/record/trace.js';

const graphs = mkdtempSync(join(tmpdir(), 'lockstep-programs-'));
after(() => rmSync(graphs, { recursive: true }));
const engine = testEngineOf({ engine: 'program', graphs });
const code = (expected: string) => (error: unknown) => error instanceof EngineError && error.code === expected;
const maps = (): string => readFileSync('/proc/self/maps', 'utf8');

test('TensorFlow is not loaded until something is recorded', () => {
  assert.equal(engine.programs === null, false);
  assert.doesNotMatch(maps(), /libtensorflow/);
  const identity = { name: 'double', parameters: 1, code: 'a' };
  const compiled = compile(engine, ([x]) => [x.mul(2)], [{ shape: [3], dtype: 'float32' }], { identity });
  assert.match(maps(), /libtensorflow_cc/);
  assert.deepEqual([...compiled.run([Float32Array.of(1, 2, 3)])[0]], [2, 4, 6]);
  assert.deepEqual([compiled.info.runsOn, compiled.info.source], ['program', 'recorded']);
  compiled.dispose();
});

test('a program on disk is run without TensorFlow, to the same bits', async () => {
  const identity = { name: 'net', parameters: 1, code: 'a' };
  const compiled = compile(engine, netStep(engine), NET_SPECS, { identity });
  const inputs = netInputs(5);
  const outputs = compiled.run(inputs);
  const source = `
    import { workerData, parentPort } from 'node:worker_threads';
    import { loadEngine } from ${JSON.stringify(import.meta.resolve('#src/device/load.js'))};
    import { compile } from ${JSON.stringify(import.meta.resolve('#src/program/compile.js'))};
    const { options, specs, identity, inputs } = workerData;
    const engine = loadEngine(options);
    const forbidden = () => { throw new Error('it was recorded again'); };
    const compiled = compile(engine, forbidden, specs, { identity });
    parentPort.postMessage({ source: compiled.info.source, outputs: compiled.run(inputs) });`;
  const workerData = { options: engine.options, specs: NET_SPECS, identity, inputs };
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData });
  const said = await new Promise<{ source: string; outputs: Float32Array[] }>((resolve, reject) =>
    thread.once('message', resolve).once('error', reject),
  );
  assert.equal(said.source, 'disk');
  assert.deepEqual(said.outputs, outputs);
  assertClose(outputs[0], runEager(engine, netStep(engine), NET_SPECS, inputs)[0], 1e-5, 'the first output');
});

test("a program's key names no machine, threads or kernels: one file for all of them", () => {
  const keyed = readdirSync(graphs)
    .filter((name) => name.endsWith('.graph'))
    .map((name) => {
      const header: unknown = JSON.parse(readFileSync(join(graphs, name), 'utf8').split('\n')[0]);
      return typeof header === 'object' && header !== null && 'key' in header ? String(header.key) : '';
    });
  assert.equal(keyed.length, 2);
  for (const key of keyed)
    for (const word of ['cpuFlags', 'cpuModel', 'threads', 'kernels', engine.identity.cpuModel])
      assert.equal(key.includes(word), false, `${word} is in ${key}`);
});

test('every kind of kernels has the same bits', () => {
  const compiled = compile(engine, netStep(engine), NET_SPECS);
  const inputs = netInputs(5);
  const expected = compiled.run(inputs);
  const { native } = engine.programs ?? assert.fail();
  assert.ok(native.targets.length >= 2);
  for (const target of native.targets) {
    const other = compile({ ...engine, programs: { native, target } }, netStep(engine), NET_SPECS);
    assert.deepEqual(other.run(inputs), expected, target);
  }
});

test('where no kernel covers an op TensorFlow runs the whole, and it is said which', () => {
  const fn: TensorFunction = ([x]) => [x.asin().mul(2)];
  const specs = [{ shape: [4], dtype: 'float32' }] as const;
  const compiled = compile(engine, fn, specs, { identity: { name: 'asin', parameters: 1, code: 'a' } });
  assert.equal(compiled.info.runsOn, 'tensorflow');
  assert.match(compiled.info.uncovered.join(), /Asin/);
  const x = numbersOf(4, 1);
  assertClose(
    compiled.run([x])[0],
    Float32Array.from(x, (value) => 2 * Math.asin(value)),
    1e-5,
    'twice the arc sine',
  );
  // From disk it is the same.
  const again = compile(engine, fn, specs, { identity: { name: 'asin', parameters: 1, code: 'a' } });
  assert.deepEqual([again.info.source, again.info.runsOn], ['disk', 'tensorflow']);
  assert.deepEqual(again.info.uncovered, compiled.info.uncovered);
});

test('an index out of range is an error that says so', () => {
  const gathered = compile(engine, ([x, at]) => [engine.tf.gather(x, at.toInt())], [
    { shape: [3, 2], dtype: 'float32' },
    { shape: [2], dtype: 'int32' },
  ]);
  const rows = Float32Array.of(1, 2, 3, 4, 5, 6);
  assert.deepEqual([...gathered.run([rows, Int32Array.of(2, 0)])[0]], [5, 6, 1, 2]);
  assert.throws(() => gathered.run([rows, Int32Array.of(3, 0)]), code('E_ENGINE_INPUT'));
});

test('kernels that the processor does not run are refused, and without a wish the fastest are taken', () => {
  const { native } = engine.programs ?? assert.fail();
  assert.throws(() => kernelTarget(native, 'mmx'), code('E_ENGINE_OPTION'));
  assert.equal(kernelTarget(native, 'plain'), 'plain');
  assert.equal(kernelTarget(native, undefined), native.targets[native.targets.length - 1]);
});

test('on a GPU there are no programs: another engine has to be chosen', async () => {
  const source = `
    import { workerData, parentPort } from 'node:worker_threads';
    import { loadEngine } from ${JSON.stringify(import.meta.resolve('#src/device/load.js'))};
    try { loadEngine(workerData); parentPort.postMessage('loaded'); } catch ({ code }) { parentPort.postMessage(code); }`;
  const workerData = { ...engine.options, device: 'cuda' };
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData });
  assert.equal(await new Promise((resolve) => thread.once('message', resolve)), 'E_ENGINE_OPTION');
});
