/**
 * Runs a function twice under watch and gives its graph. The second run must do the same as the first (watch.ts), as a
 * function that draws random numbers or counts does not.
 */
import type { Backend, Tensor } from '../device/binding.js';
import { EngineError } from '../errors.js';
import type { SignatureNames } from './graph-builder.js';
import type { Engine } from '../device/load.js';
import { guardHost } from './purity.js';
import type { Stages } from './stages.js';
import { checkInputs, dataTypeOf, exampleOf, type TensorSpec } from './tensor-spec.js';
import { Watch } from './watch.js';

export type TensorFunction = (inputs: Tensor[]) => Tensor[];

export type Traced = {
  /** The bytes of a saved_model.pb. */
  readonly savedModel: Uint8Array;
  /** A tensor from outside that became a constant, in words; null if there is none. */
  readonly captured: string | null;
};

export type TraceOptions = {
  /** Which outputs are made first, which then (stages.ts); without it, all at once. */
  readonly stages?: Stages | undefined;
  /** Of inputs and outputs in the signature. */
  readonly names?: SignatureNames | undefined;
};

/** Backends with a recording under way. */
const recording = new WeakSet<Backend>();

/**
 * The graph of `fn`, for inputs of the examples' shapes and types. The backend is itself again afterwards, whatever happens.
 * @throws {EngineError} E_ENGINE_RECORDING, E_ENGINE_HOST_READ, E_ENGINE_UNSUPPORTED, E_ENGINE_SIDE_EFFECT, E_ENGINE_IMPURE,
 *   E_ENGINE_OUTPUT, E_ENGINE_INPUT
 */
export function trace(
  engine: Engine,
  fn: TensorFunction,
  examples: readonly TensorSpec[],
  { stages, names }: TraceOptions = {},
): Traced {
  if (recording.has(engine.backend))
    throw new EngineError(
      'E_ENGINE_RECORDING',
      'compile() was called inside a function that is being recorded; compile the inner function first, or call it directly',
    );
  checkInputs(examples, examples.map(exampleOf));
  recording.add(engine.backend);
  try {
    const first = watched(engine, fn, examples, null);
    watched(engine, fn, examples, first);
    if (stages !== undefined) first.stage(stages);
    return { savedModel: first.graph.savedModel(names), captured: first.captured };
  } finally {
    recording.delete(engine.backend);
  }
}

function watched(engine: Engine, fn: TensorFunction, examples: readonly TensorSpec[], first: Watch | null): Watch {
  const { backend, tf } = engine;
  const { binding } = backend;
  const variables = new Set(Object.values(tf.engine().registeredVariables).map(({ dataId }) => dataId));
  const watch = new Watch(binding, variables, first);
  const before = tf.memory().numTensors;
  const inputs: Tensor[] = [];
  const restoreHost = guardHost(tf, watch.fail);
  try {
    for (const spec of examples) {
      const tensor = tf.tensor(exampleOf(spec), [...spec.shape], spec.dtype);
      inputs.push(tensor);
      // Uploads the data now: until then tfjs would answer reads of an input from the host, unseen.
      const [id] = backend.getInputTensorIds([tensor]);
      watch.input(id, tensor.dataId, { dtype: dataTypeOf(spec), shape: spec.shape });
    }
    watchBackend(backend, watch);
    tf.tidy(() => {
      const outputs = tensorsOf(engine, fn(inputs), watch);
      const ids = backend.getInputTensorIds(outputs);
      outputs.forEach((output, index) => watch.output(index, ids[index], output));
    });
    if (watch.failure !== null) throw watch.failure;
  } finally {
    restoreHost();
    backend.binding = binding;
    // The watching methods are own properties that hide the prototype's.
    for (const name of ['getInputTensorIds', 'read', 'readSync']) Reflect.deleteProperty(backend, name);
    Reflect.deleteProperty(backend.tensorMap, 'set');
    for (const tensor of inputs) tensor.dispose();
  }
  watch.end(tf.memory().numTensors - before);
  return watch;
}

function watchBackend(backend: Backend, watch: Watch): void {
  const { binding, tensorMap } = backend;
  const watched = watch.binding();
  const inputIds = backend.getInputTensorIds.bind(backend);
  const readSync = backend.readSync.bind(backend);
  const set = tensorMap.set.bind(tensorMap);
  backend.binding = watched;
  backend.getInputTensorIds = (tensors) => {
    // A tensor from outside whose numbers are still on the host is uploaded unseen, so that it is captured like others.
    backend.binding = binding;
    inputIds(tensors.filter((tensor) => watch.isOutside(tensor)));
    backend.binding = watched;
    const ids = inputIds(tensors);
    watch.use(ids, tensors);
    return ids;
  };
  tensorMap.set = (dataId, data) => {
    watch.inside(dataId);
    set(dataId, data);
  };
  backend.readSync = (dataId) => {
    watch.reads(dataId);
    return readSync(dataId);
  };
  backend.read = (dataId) => {
    try {
      return Promise.resolve(backend.readSync(dataId));
    } catch {
      // The watch knows, and the recording fails with it. A rejection would end the process if nobody awaited it.
      return new Promise(() => undefined);
    }
  };
}

/** What the function returned, which its type alone does not make sure of. */
function tensorsOf({ tf }: Engine, returned: unknown, watch: Watch): Tensor[] {
  const isTensor = (value: unknown): value is Tensor => value instanceof tf.Tensor;
  if (Array.isArray(returned) && returned.every(isTensor)) return returned;
  return watch.fail(
    'E_ENGINE_OUTPUT',
    returned instanceof Promise
      ? 'the function is async, and a graph waits for nothing; make it synchronous'
      : 'the function must return a list of tensors',
  );
}
