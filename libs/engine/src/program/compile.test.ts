import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { runEager } from '#src/program/eager.js';
import { NET_SPECS, assertClose, netInputs, netStep, numbersOf, testEngine } from '../engine.fixture.js';
import { EngineError } from '#src/errors.js';
import { MAX_GRAPHS, compile } from '#src/program/compile.js';
import { loadGraph } from '#src/record/graph.js';
import type { Tensor } from '#src/device/binding.js';
import { decodeSavedModel } from '#src/record/saved-model-schema.js';
import { planStages } from '#src/record/stages.js';
import { trace } from '#src/record/trace.js';

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

test('a compiled step gives the loss and gradients of the eager one', () => {
  const compiled = compile(engine, netStep(engine), NET_SPECS);
  for (const seed of [1, 2]) {
    const inputs = netInputs(seed);
    const eager = runEager(engine, netStep(engine), NET_SPECS, inputs);
    const graph = compiled.run(inputs);
    assert.equal(graph.length, 6);
    graph.forEach((output, index) => assertClose(output, eager[index], 1e-5, `output ${index}`));
  }
  compiled.dispose();
});

/** exp(sin(x)) and, from both of its steps, sum(sin(x) exp(sin(x))): the second output needs what the first one made. */
const chained = ([x]: Tensor[]): Tensor[] => {
  const sine = tf.sin(x);
  const first = tf.exp(sine);
  return [tf.sum(tf.mul(sine, first)), first];
};

test('a function run in stages gives the bits of one run at once, each output before the next stage is computed', () => {
  const before = counts();
  const stages = [[1], [0]];
  const [whole, staged] = [compile(engine, chained, [VECTOR]), compile(engine, chained, [VECTOR], { stages })];
  const input = Float32Array.of(0.5, -1, 2, 3);
  const expected = whole.run([input]);
  const [sum, first] = [new Float32Array(1).fill(NaN), new Float32Array(4).fill(NaN)];
  const seen: boolean[] = [];
  const outputs = staged.run([input], [sum, first], () => seen.push(Number.isNaN(sum[0])));
  assert.deepEqual(seen, [true, false]);
  assert.deepEqual(bytes(outputs), bytes(expected));
  assert.deepEqual(bytes([sum, first]), bytes(expected));
  // As of the gradient of a whole network.
  const [together, inTwo] = [
    compile(engine, netStep(engine), NET_SPECS),
    compile(engine, netStep(engine), NET_SPECS, { stages: [[5, 0], [4], [1, 2, 3]] }),
  ];
  for (const seed of [1, 2]) assert.deepEqual(bytes(inTwo.run(netInputs(seed))), bytes(together.run(netInputs(seed))));
  for (const compiled of [whole, staged, together, inTwo]) compiled.dispose();
  assert.deepEqual(counts(), before, 'what is handed on is freed');
});

test('what one stage hands on is not computed again by the next', () => {
  const { savedModel } = trace(engine, chained, [VECTOR], { stages: [[1], [0]] });
  const nodes = decodeSavedModel(savedModel).metaGraphs?.[0]?.graphDef?.node ?? [];
  const [first, second] = planStages(nodes, 2, [[1], [0]]);
  assert.deepEqual(first.feeds, ['p0:0']);
  assert.deepEqual(second.feeds.length, 2, 'sine and its exponential, and not x');
  assert.deepEqual([...first.handedOn].sort(), [...second.feeds].sort());
  assert.deepEqual(second.handedOn, []);
});

test('stages that leave an output out, or name one twice or one that there is not, are refused', () => {
  for (const stages of [[[0]], [[0, 1], [1]], [[0], [2]], []])
    assert.throws(() => compile(engine, chained, [VECTOR], { stages }), code('E_ENGINE_OUTPUT'));
});

test('repeated runs of one compiled function, and of two, are bit for bit the same', () => {
  const [first, second] = [compile(engine, netStep(engine), NET_SPECS), compile(engine, netStep(engine), NET_SPECS)];
  const inputs = netInputs(3);
  const expected = bytes(first.run(inputs));
  for (let repeat = 0; repeat < 5; repeat++) assert.deepEqual(bytes(first.run(inputs)), expected);
  assert.deepEqual(bytes(second.run(inputs)), expected);
  first.dispose();
  second.dispose();
});

test('the same function on the same shapes gives the same graph, whatever the example data', () => {
  const first = compile(engine, netStep(engine), NET_SPECS);
  const inputs = netInputs(4);
  const second = compile(
    engine,
    netStep(engine),
    NET_SPECS.map((spec, index) => ({ ...spec, data: inputs[index] })),
  );
  assert.equal(second.info.digest, first.info.digest);
  assert.equal(first.info.source, 'recorded');
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
  const [small, large] = [compile(engine, netStep(engine), NET_SPECS), compile(engine, netStep(engine), specs)];
  // The zero offset [n, C] grows with the batch, the activations [n, 6, 6, 8] would by far more.
  assert.ok(
    large.info.bytes - small.info.bytes < 64 * 8 * 4 + 1000,
    `${small.info.bytes} and ${large.info.bytes} bytes`,
  );
  small.dispose();
  large.dispose();
});

test('a worker_thread loads the bytes that this thread compiled and computes the same bits', async () => {
  const { savedModel } = trace(engine, netStep(engine), NET_SPECS);
  const graph = loadGraph(engine, savedModel);
  const inputs = netInputs(5);
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    import { loadEngine } from ${JSON.stringify(import.meta.resolve('#src/device/load.js'))};
    import { loadGraph } from ${JSON.stringify(import.meta.resolve('#src/record/graph.js'))};
    import { compile } from ${JSON.stringify(import.meta.resolve('#src/program/compile.js'))};
    import { NET_SPECS, netStep } from ${JSON.stringify(new URL('../engine.fixture.js', import.meta.url).href)};
    const engine = loadEngine(workerData.options);
    const loaded = loadGraph(engine, workerData.savedModel);
    const own = compile(engine, netStep(engine), NET_SPECS);
    parentPort.postMessage({ loaded: loaded.run(workerData.inputs), own: own.run(workerData.inputs), digest: own.info.digest });
    loaded.dispose();
    own.dispose();`;
  const { options } = engine;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { options, inputs, savedModel },
  });
  const answer = await new Promise<{ loaded: Float32Array[]; own: Float32Array[]; digest: string }>((resolve, reject) =>
    worker.once('message', resolve).once('error', reject),
  );
  const expected = bytes(graph.run(inputs));
  assert.deepEqual(bytes(answer.loaded), expected);
  assert.deepEqual(bytes(answer.own), expected);
  assert.equal(answer.digest, graph.info.digest);
  graph.dispose();
});

test('inputs may be views on SharedArrayBuffers, at any offset, and are read anew by each run', () => {
  const compiled = compile(engine, ([x]) => [tf.mul(x, 2)], [VECTOR]);
  const shared = new SharedArrayBuffer(64);
  for (const offset of [0, 4, 12]) {
    const view = new Float32Array(shared, offset, 4);
    view.set([1, 2, 3, offset]);
    assert.deepEqual([...compiled.run([view])[0]], [2, 4, 6, 2 * offset]);
    view[0] = 50;
    assert.equal(compiled.run([view])[0][0], 100);
  }
  compiled.dispose();
});

test('a captured tensor is a constant with the value that it had when the function was compiled', () => {
  const scale = tf.tensor1d([1, 10, 100, 1000]);
  const compiled = compile(engine, ([x]) => [tf.mul(x, scale)], [VECTOR]);
  scale.dispose();
  assert.deepEqual([...compiled.run([Float32Array.of(1, 2, 3, 4)])[0]], [1, 20, 300, 4000]);
  compiled.dispose();
});

test('integers, conditions, negative axes and ops of several outputs are compiled', () => {
  const specs = [{ shape: [2, 6], dtype: 'int32' }] as const;
  const fn = ([x]: Parameters<ReturnType<typeof netStep>>[0]) => {
    const [left, right] = tf.split(x, 2, -1);
    return [
      tf.where(tf.greater(left, right), left, tf.neg(right)),
      tf.argMax(x, -1),
      tf.cast(tf.slice(x, [0, 1], [-1, 2]), 'float32'),
    ];
  };
  const compiled = compile(engine, fn, specs);
  const inputs = [Int32Array.of(5, -7, 3, 1, -2, 9, 0, 0, 4, -1, 8, 2)];
  const outputs = compiled.run(inputs);
  assert.deepEqual(outputs, runEager(engine, fn, specs, inputs));
  assert.deepEqual(
    compiled.outputs.map(({ dtype, shape }) => `${dtype} ${shape.join()}`),
    ['int32 2,3', 'int32 2', 'float32 2,2'],
  );
  assert.deepEqual([...outputs[0]], [5, 2, -9, 0, -8, 4]);
  compiled.dispose();
});

test('an input handed straight on, and the same output twice, are outputs like others', () => {
  const compiled = compile(
    engine,
    ([x]) => {
      const y = tf.add(x, 1);
      return [x, y, y];
    },
    [VECTOR],
  );
  assert.deepEqual(
    compiled.run([Float32Array.of(1, 2, 3, 4)]).map((output) => [...output]),
    [
      [1, 2, 3, 4],
      [2, 3, 4, 5],
      [2, 3, 4, 5],
    ],
  );
  compiled.dispose();
});

test('neither runs, nor errors while compiling or running, leave a tensor, a model or a folder behind', () => {
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('lockstep-graph-')).length;
  const before = { ...counts(), folders: folders() };
  const compiled = compile(engine, netStep(engine), NET_SPECS);
  for (let run = 0; run < 3; run++) compiled.run(netInputs(run));
  assert.throws(() => compiled.run(netInputs(1).slice(1)), code('E_ENGINE_INPUT'));
  runEager(engine, netStep(engine), NET_SPECS, netInputs(1));
  compiled.dispose();
  compiled.dispose();
  assert.throws(
    () =>
      compile(
        engine,
        ([x]) => {
          tf.add(x, 1);
          throw new Error('from inside');
        },
        [VECTOR],
      ),
    /from inside/,
  );
  assert.throws(() => compile(engine, ([x]) => [tf.add(x, x.dataSync()[0])], [VECTOR]), code('E_ENGINE_HOST_READ'));
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
  assert.throws(() => loadGraph(engine, Uint8Array.of(1, 2, 3)), code('E_ENGINE_MODEL'));
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
  const compiled = compile(
    engine,
    ([x, at]) => [engine.kernel('GatherV2', gather, [x, at, tf.scalar(0, 'int32')])],
    specs,
  );
  const x = Float32Array.of(5, 6, 7, 8);
  assert.deepEqual([...compiled.run([x, Int32Array.of(3, 0)])[0]], [8, 5]);
  const before = counts();
  assert.throws(() => compiled.run([x, Int32Array.of(0, 99)]), /99 is not in \[0, 4\)/);
  assert.deepEqual(counts(), before);
  compiled.dispose();
});

test('eager tfjs works as before once a compilation has ended, well or badly', () => {
  assert.throws(() =>
    compile(engine, () => {
      throw new Error('inside');
    }, [VECTOR]),
  );
  assert.equal(engine.backend.binding, binding);
  assert.equal(Object.hasOwn(engine.backend, 'getInputTensorIds'), false);
  assert.deepEqual([...tf.add(tf.tensor1d([1]), 1).dataSync()], [2]);
});

test('inputs of another number, type or length are refused before anything runs', () => {
  const compiled = compile(engine, ([x]) => [tf.neg(x)], [VECTOR]);
  assert.throws(() => compiled.run([]), code('E_ENGINE_INPUT'));
  assert.throws(() => compiled.run([numbersOf(4, 1), numbersOf(4, 1)]), code('E_ENGINE_INPUT'));
  assert.throws(() => compiled.run([Int32Array.of(1, 2, 3, 4)]), code('E_ENGINE_INPUT'));
  assert.throws(() => compiled.run([numbersOf(5, 1)]), code('E_ENGINE_INPUT'));
  assert.throws(() => compiled.run([{ shape: [2, 2], data: numbersOf(5, 1) }]), code('E_ENGINE_INPUT'));
  assert.throws(() => compiled.run([{ shape: [-4], data: numbersOf(4, 1) }]), code('E_ENGINE_INPUT'));
  compiled.dispose();
  assert.throws(() => compiled.run([numbersOf(4, 1)]), code('E_ENGINE_DISPOSED'));
});

test('inputs of other shapes and types are compiled for when they first come, and not again', () => {
  const phases: string[] = [];
  const compiled = compile(engine, ([x]) => [tf.sum(x, 0)], [VECTOR], { onPhase: (phase) => phases.push(phase) });
  const once = ['look', 'record', 'load', 'ready'];
  assert.deepEqual(phases, once);
  const matrix = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  const integers = { shape: [2, 3], data: Int32Array.of(1, 2, 3, 4, 5, 6) };
  for (let repeat = 0; repeat < 2; repeat++) {
    assert.deepEqual(compiled.run([matrix]), [Float32Array.of(5, 7, 9)]);
    assert.deepEqual(compiled.run([integers]), [Int32Array.of(5, 7, 9)]);
    assert.deepEqual(compiled.run([Float32Array.of(1, 2, 3, 4)]), [Float32Array.of(10)]);
  }
  assert.deepEqual(phases, [...once, ...once, ...once]);
  compiled.dispose();
});

test('of the graphs for many shapes the ones used longest ago are freed, and compiled again where they are needed', () => {
  let made = 0;
  const models = counts().models;
  const compiled = compile(engine, ([x]) => [tf.neg(x)], [VECTOR], {
    onPhase: (phase) => {
      if (phase === 'ready') made++;
    },
  });
  const run = (size: number): void => {
    const data = numbersOf(size, size);
    assert.deepEqual(compiled.run([{ shape: [size], data }]), [data.map((value) => -value)]);
  };
  for (let size = 5; size < 4 + MAX_GRAPHS; size++) run(size);
  run(4);
  assert.deepEqual([made, counts().models - models], [MAX_GRAPHS, MAX_GRAPHS]);
  run(100);
  assert.deepEqual([made, counts().models - models], [MAX_GRAPHS + 1, MAX_GRAPHS]);
  run(4);
  assert.equal(made, MAX_GRAPHS + 1, '4 was used after 5, which had to go');
  run(5);
  assert.equal(made, MAX_GRAPHS + 2);
  compiled.dispose();
  assert.equal(counts().models, models);
});

test('outputs are written to targets, also in shared memory, and others come in fresh arrays', () => {
  const compiled = compile(engine, ([x]) => [tf.mul(x, 2), tf.cast(x, 'int32')], [VECTOR]);
  const target = new Float32Array(new SharedArrayBuffer(32), 8, 4);
  const x = Float32Array.of(1, 2, 3, 4);
  const [doubled, whole] = compiled.run([x], [target]);
  assert.equal(doubled, target);
  assert.deepEqual([...target], [2, 4, 6, 8]);
  assert.deepEqual(whole, Int32Array.of(1, 2, 3, 4));
  const integers = new Int32Array(4);
  assert.equal(compiled.run([x], [null, integers])[1], integers);
  assert.deepEqual(integers, whole);
  for (const targets of [[new Float32Array(5)], [new Int32Array(4)], [null, null, null]])
    assert.throws(() => compiled.run([x], targets), code('E_ENGINE_OUTPUT'));
  compiled.dispose();
});
