/** Compiled functions whose graphs lie on disk: the same bits as recorded ones, and nothing stale. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { compile, type CompileOptions } from '#src/program/compile.js';
import { NET_SPECS, netInputs, netStep, testEngine } from '../engine.fixture.js';
import { EngineError } from '#src/errors.js';
import type { Engine } from '#src/device/load.js';
import type { TensorFunction } from '#src/record/trace.js';

const loaded = testEngine();
const { tf } = loaded;
const ROOT = mkdtempSync(join(tmpdir(), 'lockstep-kept-'));
after(() => rmSync(ROOT, { recursive: true, force: true }));
const IDENTITY = { name: 'net', parameters: null, code: 'test' };
const VECTOR = { shape: [4], dtype: 'float32' } as const;

/** The engine with a folder of graphs of its own. */
function engineWithFolder(): { engine: Engine; graphs: string; files: () => string[] } {
  const graphs = mkdtempSync(join(ROOT, 'graphs-'));
  return { engine: { ...loaded, options: { ...loaded.options, graphs } }, graphs, files: () => readdirSync(graphs) };
}

function net(engine: Engine, options: CompileOptions = {}) {
  return compile(engine, netStep(engine), NET_SPECS, { identity: IDENTITY, ...options });
}

test('a graph from disk gives the bits of the recorded one, which are those of a recording that is not kept', () => {
  const { engine } = engineWithFolder();
  const phases: string[] = [];
  const all = [
    net(engine),
    net(engine, { onPhase: (phase) => phases.push(phase) }),
    compile(loaded, netStep(loaded), NET_SPECS),
  ];
  assert.deepEqual(phases, ['look', 'load', 'ready']);
  assert.deepEqual(
    all.map(({ info }) => info.source),
    ['recorded', 'disk', 'recorded'],
  );
  assert.equal(new Set(all.map(({ info }) => info.digest)).size, 1);
  assert.deepEqual(all[1].inputs, all[0].inputs);
  assert.deepEqual(all[1].outputs, all[0].outputs);
  for (const seed of [1, 2, 3]) {
    const [recorded, kept, own] = all.map((compiled) =>
      compiled.run(netInputs(seed)).map((output) => Buffer.from(output.buffer)),
    );
    assert.deepEqual(kept, recorded);
    assert.deepEqual(own, recorded);
  }
  for (const compiled of all) compiled.dispose();
});

test('a graph from disk is loaded without running the function', () => {
  const { engine } = engineWithFolder();
  net(engine).dispose();
  const never = (): never => {
    throw new Error('the function ran');
  };
  const kept = compile(engine, never, NET_SPECS, { identity: IDENTITY });
  assert.equal(kept.info.source, 'disk');
  kept.dispose();
});

test('another parameter, code, or engine is another graph; so is another shape of the same function', () => {
  const { engine, files } = engineWithFolder();
  const scaled = (factor: number, from: Engine, code = 'test') =>
    compile(from, ([x]) => [tf.mul(x, factor)], [VECTOR], {
      identity: { name: 'scaled', parameters: { factor }, code },
    });
  const x = Float32Array.of(1, 2, 3, 4);
  for (const source of ['recorded', 'disk'] as const) {
    for (const factor of [2, 3]) {
      const compiled = scaled(factor, engine);
      assert.equal(compiled.info.source, source);
      assert.deepEqual(compiled.run([x]), [x.map((value) => factor * value)]);
      assert.deepEqual(compiled.run([{ shape: [2, 2], data: x }]), [x.map((value) => factor * value)]);
      compiled.dispose();
    }
  }
  assert.equal(files().length, 4);
  const others = [
    scaled(2, engine, 'new code'),
    scaled(2, { ...engine, identity: { ...engine.identity, threads: 2 } }),
  ];
  for (const other of others) {
    assert.equal(other.info.source, 'recorded');
    other.dispose();
  }
});

test('a damaged graph is said, recorded again and replaced, and gives the same bits', () => {
  const { engine, graphs, files } = engineWithFolder();
  const first = net(engine);
  const path = join(graphs, files()[0]);
  const whole = readFileSync(path);
  const damaged = Buffer.from(whole);
  damaged[whole.length - 100] ^= 4;
  writeFileSync(path, damaged);
  const warnings: string[] = [];
  const second = net(engine, { warn: (text) => warnings.push(text) });
  assert.equal(second.info.source, 'recorded');
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /^E_ENGINE_CACHE_FILE: .*damaged/);
  assert.deepEqual(second.run(netInputs(1)), first.run(netInputs(1)));
  assert.deepEqual(readFileSync(path), whole);
  first.dispose();
  second.dispose();
});

test('a warning that nobody asked for is a warning of the process, with its code', async () => {
  const { engine, graphs } = engineWithFolder();
  const blocked = join(graphs, 'file');
  writeFileSync(blocked, '');
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
  net({ ...engine, options: { ...engine.options, graphs: blocked } }).dispose();
  const warning = await warned;
  assert.equal(Reflect.get(warning, 'code'), 'E_ENGINE_CACHE');
  assert.match(warning.message, /LOCKSTEP_CACHE/);
});

test('a function with an identity may not use tensors from outside, for its graph would not tell them apart', () => {
  const { engine, files } = engineWithFolder();
  const scale = tf.tensor1d([1, 2, 3, 4]);
  const captures: TensorFunction[] = [([x]) => [tf.mul(x, scale)], ([x]) => [tf.mul(x, scale.dataSync()[2])]];
  for (const fn of captures)
    assert.throws(
      () => compile(engine, fn, [VECTOR], { identity: IDENTITY }),
      (error) =>
        error instanceof EngineError &&
        error.code === 'E_ENGINE_CAPTURE' &&
        /^E_ENGINE_CAPTURE: net uses/.test(error.message),
    );
  assert.deepEqual(files(), []);
  scale.dispose();
});

test('graphs need no folder for temporary files', (context) => {
  const { TMPDIR } = process.env;
  context.after(() => (TMPDIR === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = TMPDIR)));
  process.env['TMPDIR'] = join(ROOT, 'nowhere');
  const compiled = compile(loaded, netStep(loaded), NET_SPECS);
  assert.ok(compiled.run(netInputs(1)).length > 0);
  compiled.dispose();
});

test('without an identity nothing is written', () => {
  const { engine, files } = engineWithFolder();
  compile(engine, netStep(engine), NET_SPECS).dispose();
  assert.deepEqual(files(), []);
});

test('threads that compile at once get the same graph and the same bits', async () => {
  const { engine, graphs, files } = engineWithFolder();
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    import { compile, loadEngine } from ${JSON.stringify(import.meta.resolve('#src/index.js'))};
    import { NET_SPECS, netInputs, netStep } from ${JSON.stringify(new URL('../engine.fixture.js', import.meta.url).href)};
    const engine = loadEngine(workerData.options);
    parentPort.postMessage('ready');
    parentPort.once('message', () => {
      const compiled = compile(engine, netStep(engine), NET_SPECS, { identity: workerData.identity });
      parentPort.postMessage({ source: compiled.info.source, digest: compiled.info.digest, outputs: compiled.run(netInputs(7)) });
      compiled.dispose();
    });`;
  const workers = [0, 1].map(
    () =>
      new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
        workerData: { options: { ...engine.options, graphs }, identity: IDENTITY },
      }),
  );
  const said = <T>(worker: Worker): Promise<T> =>
    new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await Promise.all(workers.map((worker) => said(worker)));
  for (const worker of workers) worker.postMessage('go');
  type Answer = { source: string; digest: string; outputs: Float32Array[] };
  const [first, second] = await Promise.all(workers.map((worker) => said<Answer>(worker)));
  assert.deepEqual([first.source, second.source].sort(), ['disk', 'recorded']);
  assert.equal(second.digest, first.digest);
  assert.deepEqual(second.outputs, first.outputs);
  assert.equal(files().length, 1);
});
