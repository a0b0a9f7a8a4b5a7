import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { engineDirectory } from './directory.js';
import { runEager } from './eager.js';
import { NET_SPECS, SETTING, assertClose, netInputs, netStep, numbersOf, testEngine } from './engine.fixture.js';
import { EngineError } from './errors.js';
import { loadRecorded, record } from './record.js';

const engine = testEngine();
const { tf } = engine;
const { binding } = engine.backend;
const code = (expected: string) => (error: unknown) => error instanceof EngineError && error.code === expected;
const bytes = (arrays: readonly ArrayBufferView[]) =>
  arrays.map((array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('hex'));
const counts = () => ({
  tensors: tf.memory().numTensors,
  ids: binding.getNumOfTensors(),
  models: binding.getNumOfSavedModels(),
});
const VECTOR = { shape: [4], dtype: 'float32' } as const;

test('a recorded step gives the loss and gradients of the eager one', () => {
  const recorded = record(engine, netStep(engine), NET_SPECS);
  for (const seed of [1, 2]) {
    const inputs = netInputs(seed);
    const eager = runEager(engine, netStep(engine), NET_SPECS, inputs);
    const graph = recorded.run(inputs);
    assert.equal(graph.length, 6);
    graph.forEach((output, index) => assertClose(output, eager[index], 1e-5, `output ${index}`));
  }
  recorded.dispose();
});

test('repeated runs of one recording, and of two, are bit for bit the same', () => {
  const [first, second] = [record(engine, netStep(engine), NET_SPECS), record(engine, netStep(engine), NET_SPECS)];
  const inputs = netInputs(3);
  const expected = bytes(first.run(inputs));
  for (let repeat = 0; repeat < 5; repeat++) assert.deepEqual(bytes(first.run(inputs)), expected);
  assert.deepEqual(bytes(second.run(inputs)), expected);
  first.dispose();
  second.dispose();
});

test('recording the same function on the same shapes gives the same bytes, whatever the example data', () => {
  const first = record(engine, netStep(engine), NET_SPECS);
  const inputs = netInputs(4);
  const second = record(
    engine,
    netStep(engine),
    NET_SPECS.map((spec, index) => ({ ...spec, data: inputs[index] })),
  );
  assert.deepEqual(Buffer.from(second.savedModel), Buffer.from(first.savedModel));
  assert.equal(first.info.bytes, first.savedModel.byteLength);
  assert.equal(first.info.ops['Placeholder'], NET_SPECS.length);
  assert.equal(
    Object.values(first.info.ops).reduce((sum, count) => sum + count),
    first.info.nodes,
  );
  first.dispose();
  second.dispose();
});

test('no constant as large as an activation gets into the graph of a step', () => {
  const specs = NET_SPECS.map((spec, index) => (index < 2 ? { ...spec, shape: [64, 6, 6, 1] } : spec));
  const [small, large] = [record(engine, netStep(engine), NET_SPECS), record(engine, netStep(engine), specs)];
  // The zero offset [n, C] grows with the batch, the activations [n, 6, 6, 8] would by far more.
  assert.ok(
    large.info.bytes - small.info.bytes < 64 * 8 * 4 + 1000,
    `${small.info.bytes} and ${large.info.bytes} bytes`,
  );
  small.dispose();
  large.dispose();
});

test('a worker_thread loads the bytes that this thread recorded and computes the same bits', async () => {
  const recorded = record(engine, netStep(engine), NET_SPECS);
  const inputs = netInputs(5);
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    import { loadEngine, loadRecorded, record } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
    import { NET_SPECS, netStep } from ${JSON.stringify(new URL('./engine.fixture.js', import.meta.url).href)};
    const engine = loadEngine(workerData.options);
    const loaded = loadRecorded(engine, workerData.savedModel);
    const own = record(engine, netStep(engine), NET_SPECS);
    parentPort.postMessage({ loaded: loaded.run(workerData.inputs), own: own.run(workerData.inputs), same: Buffer.compare(own.savedModel, workerData.savedModel) === 0 });
    loaded.dispose();
    own.dispose();`;
  const options = { ...SETTING, directory: engineDirectory('cpu', process.env) };
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { options, inputs, savedModel: recorded.savedModel },
  });
  const answer = await new Promise<{ loaded: Float32Array[]; own: Float32Array[]; same: boolean }>((resolve, reject) =>
    worker.once('message', resolve).once('error', reject),
  );
  const expected = bytes(recorded.run(inputs));
  assert.deepEqual(bytes(answer.loaded), expected);
  assert.deepEqual(bytes(answer.own), expected);
  assert.equal(answer.same, true);
  recorded.dispose();
});

test('inputs may be views on SharedArrayBuffers, at any offset, and are read anew by each run', () => {
  const recorded = record(engine, ([x]) => [tf.mul(x, 2)], [VECTOR]);
  const shared = new SharedArrayBuffer(64);
  for (const offset of [0, 4, 12]) {
    const view = new Float32Array(shared, offset, 4);
    view.set([1, 2, 3, offset]);
    assert.deepEqual([...recorded.run([view])[0]], [2, 4, 6, 2 * offset]);
    view[0] = 50;
    assert.equal(recorded.run([view])[0][0], 100);
  }
  recorded.dispose();
});

test('a captured tensor is a constant with the value that it had when it was recorded', () => {
  const scale = tf.tensor1d([1, 10, 100, 1000]);
  const recorded = record(engine, ([x]) => [tf.mul(x, scale)], [VECTOR]);
  scale.dispose();
  assert.deepEqual([...recorded.run([Float32Array.of(1, 2, 3, 4)])[0]], [1, 20, 300, 4000]);
  recorded.dispose();
});

test('integers, conditions, negative axes and ops of several outputs are recorded', () => {
  const specs = [{ shape: [2, 6], dtype: 'int32' }] as const;
  const fn = ([x]: Parameters<ReturnType<typeof netStep>>[0]) => {
    const [left, right] = tf.split(x, 2, -1);
    return [
      tf.where(tf.greater(left, right), left, tf.neg(right)),
      tf.argMax(x, -1),
      tf.cast(tf.slice(x, [0, 1], [-1, 2]), 'float32'),
    ];
  };
  const recorded = record(engine, fn, specs);
  const inputs = [Int32Array.of(5, -7, 3, 1, -2, 9, 0, 0, 4, -1, 8, 2)];
  const outputs = recorded.run(inputs);
  assert.deepEqual(outputs, runEager(engine, fn, specs, inputs));
  assert.deepEqual(
    recorded.outputs.map(({ dtype, shape }) => `${dtype} ${shape.join()}`),
    ['int32 2,3', 'int32 2', 'float32 2,2'],
  );
  assert.deepEqual([...outputs[0]], [5, 2, -9, 0, -8, 4]);
  recorded.dispose();
});

test('an input handed straight on, and the same output twice, are outputs like others', () => {
  const recorded = record(
    engine,
    ([x]) => {
      const y = tf.add(x, 1);
      return [x, y, y];
    },
    [VECTOR],
  );
  assert.deepEqual(
    recorded.run([Float32Array.of(1, 2, 3, 4)]).map((output) => [...output]),
    [
      [1, 2, 3, 4],
      [2, 3, 4, 5],
      [2, 3, 4, 5],
    ],
  );
  recorded.dispose();
});

test('neither runs, nor errors while recording or running, leave a tensor, a model or a folder behind', () => {
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('lockstep-graph-')).length;
  const before = { ...counts(), folders: folders() };
  const recorded = record(engine, netStep(engine), NET_SPECS);
  for (let run = 0; run < 3; run++) recorded.run(netInputs(run));
  assert.throws(() => recorded.run(netInputs(1).slice(1)), code('E_ENGINE_INPUT'));
  runEager(engine, netStep(engine), NET_SPECS, netInputs(1));
  recorded.dispose();
  recorded.dispose();
  assert.throws(
    () =>
      record(
        engine,
        ([x]) => {
          tf.add(x, 1);
          throw new Error('from inside');
        },
        [VECTOR],
      ),
    /from inside/,
  );
  assert.throws(() => record(engine, ([x]) => [tf.add(x, x.dataSync()[0])], [VECTOR]), code('E_ENGINE_HOST_READ'));
  assert.throws(
    () =>
      runEager(
        engine,
        () => {
          tf.zeros([9]);
          throw new Error('eager');
        },
        [VECTOR],
        [new Float32Array(4)],
      ),
    /eager/,
  );
  assert.throws(() => loadRecorded(engine, Uint8Array.of(1, 2, 3)), code('E_ENGINE_MODEL'));
  assert.deepEqual({ ...counts(), folders: folders() }, before);
});

test("a graph that fails while it runs throws TensorFlow's reason and leaves no tensor behind", () => {
  const gather = {
    Tparams: { kind: 'type', value: 'float32' },
    Tindices: { kind: 'type', value: 'int32' },
    Taxis: { kind: 'type', value: 'int32' },
    batch_dims: { kind: 'int', value: 0 },
  } as const;
  const specs = [VECTOR, { shape: [2], dtype: 'int32' }] as const;
  const recorded = record(
    engine,
    ([x, at]) => [engine.kernel('GatherV2', gather, [x, at, tf.scalar(0, 'int32')])],
    specs,
  );
  const x = Float32Array.of(5, 6, 7, 8);
  assert.deepEqual([...recorded.run([x, Int32Array.of(3, 0)])[0]], [8, 5]);
  const before = counts();
  assert.throws(() => recorded.run([x, Int32Array.of(0, 99)]), /99 is not in \[0, 4\)/);
  assert.deepEqual(counts(), before);
  recorded.dispose();
});

test('what a graph cannot hold is an error that names the op', () => {
  const failure = (fn: Parameters<typeof record>[1], expected: string, words: RegExp) =>
    assert.throws(
      () => record(engine, fn, [VECTOR]),
      (error) => code(expected)(error) && words.test(String(error)),
    );
  const outside = tf.tensor1d([1, 2, 3, 4]);
  failure(([x]) => [tf.add(x, tf.softplus(x).dataSync()[0])], 'E_ENGINE_HOST_READ', /value of Softplus/);
  failure(([x]) => [tf.gather(x, tf.cast(x, 'int32'))], 'E_ENGINE_HOST_READ', /value of Cast/);
  failure(() => [outside], 'E_ENGINE_OUTPUT', /output 0 is a constant/);
  failure(() => [tf.scalar(1)], 'E_ENGINE_OUTPUT', /output 0 is a constant/);
  failure(([x]) => [tf.greater(x, 0)], 'E_ENGINE_OUTPUT', /output 0 is bool/);
  failure(
    ([x]) => {
      engine.kernel('AsString', { T: { kind: 'type', value: 'float32' } }, [x]);
      return [x];
    },
    'E_ENGINE_UNSUPPORTED',
    /op AsString makes a string/,
  );
  failure(
    ([x]) => {
      record(engine, ([y]) => [y], [VECTOR]);
      return [x];
    },
    'E_ENGINE_RECORDING',
    /inside/,
  );
  outside.dispose();
});

test('eager tfjs works as before once a recording has ended, well or badly', () => {
  assert.throws(() =>
    record(engine, () => {
      throw new Error('inside');
    }, [VECTOR]),
  );
  assert.equal(engine.backend.binding, binding);
  assert.equal(Object.hasOwn(engine.backend, 'getInputTensorIds'), false);
  assert.deepEqual([...tf.add(tf.tensor1d([1]), 1).dataSync()], [2]);
});

test('inputs of another number, type or length are refused before anything runs', () => {
  const recorded = record(engine, ([x]) => [tf.neg(x)], [VECTOR]);
  assert.throws(() => recorded.run([]), code('E_ENGINE_INPUT'));
  assert.throws(() => recorded.run([Int32Array.of(1, 2, 3, 4)]), code('E_ENGINE_INPUT'));
  assert.throws(() => recorded.run([numbersOf(5, 1)]), code('E_ENGINE_INPUT'));
  recorded.dispose();
  assert.throws(() => recorded.run([numbersOf(4, 1)]), code('E_ENGINE_DISPOSED'));
});
