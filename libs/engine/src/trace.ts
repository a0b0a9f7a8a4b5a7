/**
 * Watches a function run once and writes down the graph of what it did.
 *
 * tfjs-node sends each kernel to binding.executeOp in TensorFlow's own op names and attributes, so what passes there is a
 * graph already. While the function runs, the backend speaks to a copy of the binding that notes each call:
 *   executeOp            a node; its outputs' ids are remembered with the node that made them
 *   createTensor         a constant: axes, shapes and scalars that tfjs makes on the host
 *   getInputTensorIds    an id never seen is a tensor captured from outside: a constant, with the value that it has now
 *   tensorDataSync       an error where the value depends on an input: a graph has no host in the middle
 * Values that tfjs makes on the host, such as random numbers, become constants too: draw them outside and hand them in.
 */
import { DataType, isBinding, type Backend, type Binding, type Tensor } from './binding.js';
import { EngineError } from './errors.js';
import { GraphBuilder, dtypeName, type Source, type TensorType } from './graphBuilder.js';
import type { Engine } from './load.js';
import { checkInputs, dataTypeOf, exampleOf, type TensorSpec } from './tensorSpec.js';

export type TensorFunction = (inputs: Tensor[]) => Tensor[];

/** Backends with a recording under way. */
const recording = new WeakSet<Backend>();

/** Types that a constant's bytes are written for. */
const RECORDABLE: ReadonlySet<number> = new Set([
  DataType.float32,
  DataType.int32,
  DataType.int64,
  DataType.bool,
  DataType.uint8,
]);

/**
 * Runs `fn` once on the examples and returns its graph as the bytes of a saved_model.pb. The backend is itself again
 * afterwards, whatever happens.
 * @throws {EngineError} E_ENGINE_RECORDING, E_ENGINE_HOST_READ, E_ENGINE_UNSUPPORTED, E_ENGINE_OUTPUT, E_ENGINE_INPUT
 */
export function trace(engine: Engine, fn: TensorFunction, examples: readonly TensorSpec[]): Uint8Array {
  const { backend, tf } = engine;
  if (recording.has(backend))
    throw new EngineError(
      'E_ENGINE_RECORDING',
      'record() was called inside a function that is being recorded; record the inner function first, or call it directly',
    );
  checkInputs(examples, examples.map(exampleOf));
  const binding = backend.binding;
  const watch = new Watch(binding);
  const inputs: Tensor[] = [];
  recording.add(backend);
  try {
    for (const spec of examples) {
      const tensor = tf.tensor(exampleOf(spec), [...spec.shape], spec.dtype);
      inputs.push(tensor);
      // Uploads the data now: until then tfjs would answer reads of an input from the host, unseen.
      const [id] = backend.getInputTensorIds([tensor]);
      watch.input(id, { dtype: dataTypeOf(spec), shape: spec.shape });
    }
    backend.binding = watch.binding();
    backend.getInputTensorIds = watch.inputIds(backend);
    tf.tidy(() => {
      const outputs = fn(inputs);
      const ids = backend.getInputTensorIds(outputs);
      outputs.forEach((output, index) => watch.output(index, ids[index], output));
    });
  } finally {
    recording.delete(backend);
    backend.binding = binding;
    // The watching method is an own property that hides the prototype's.
    Reflect.deleteProperty(backend, 'getInputTensorIds');
    for (const tensor of inputs) tensor.dispose();
  }
  return watch.graph.savedModel();
}

class Watch {
  readonly graph = new GraphBuilder();
  readonly #binding: Binding;
  readonly #sources = new Map<number, Source>();

  constructor(binding: Binding) {
    this.#binding = binding;
  }

  input(id: number, type: TensorType): void {
    this.#sources.set(id, this.graph.input(type));
  }

  output(index: number, id: number, tensor: Tensor): void {
    const dtype = tensor.dtype === 'float32' ? DataType.float32 : tensor.dtype === 'int32' ? DataType.int32 : undefined;
    if (dtype === undefined)
      throw new EngineError('E_ENGINE_OUTPUT', `output ${index} is ${tensor.dtype}; cast it to float32 or int32`);
    const source = this.#sources.get(id);
    if (source === undefined || source.op === 'Const')
      throw new EngineError(
        'E_ENGINE_OUTPUT',
        `output ${index} is a constant, made outside the function or from numbers, which no op computed; leave it out of the outputs`,
      );
    this.graph.output(source, { dtype, shape: tensor.shape });
  }

  /** A plain copy of the binding, for its own properties cannot be written, with the calls of interest noted. */
  binding(): Binding {
    const copy: unknown = Object.create(null, {
      ...Object.getOwnPropertyDescriptors(this.#binding),
      createTensor: {
        value: (shape: number[], dtype: number, data: unknown) => this.#createTensor(shape, dtype, data),
      },
      executeOp: { value: (...call: Parameters<Binding['executeOp']>) => this.#executeOp(...call) },
      tensorDataSync: { value: (id: number) => this.#read(id) },
    });
    if (!isBinding(copy)) throw new TypeError('the binding lacks a call that recording needs');
    return copy;
  }

  inputIds(backend: Backend): Backend['getInputTensorIds'] {
    const original = backend.getInputTensorIds.bind(backend);
    return (tensors) => {
      const ids = original(tensors);
      ids.forEach((id, index) => {
        if (!this.#sources.has(id)) this.#capture(id, tensors[index]);
      });
      return ids;
    };
  }

  #capture(id: number, tensor: unknown): void {
    if (!hasShape(tensor)) throw new EngineError('E_ENGINE_UNSUPPORTED', 'an op was given something that is no tensor');
    const data = this.#binding.tensorDataSync(id);
    if (Array.isArray(data))
      throw new EngineError(
        'E_ENGINE_UNSUPPORTED',
        'a captured string tensor cannot be recorded; hand numbers to the function',
      );
    this.#constant(id, { dtype: dtypeOfArray(data, tensor.dtype), shape: tensor.shape }, data);
  }

  #createTensor(shape: number[], dtype: number, data: unknown): number {
    const id = this.#binding.createTensor(shape, dtype, data);
    try {
      if (!ArrayBuffer.isView(data))
        throw new EngineError(
          'E_ENGINE_UNSUPPORTED',
          `a ${dtypeName(dtype)} tensor was made inside the recorded function; only numbers can be recorded`,
        );
      this.#constant(id, { dtype, shape }, data);
    } catch (error) {
      this.#binding.deleteTensor(id);
      throw error;
    }
    return id;
  }

  #constant(id: number, type: TensorType, data: ArrayBufferView): void {
    if (!RECORDABLE.has(type.dtype))
      throw new EngineError(
        'E_ENGINE_UNSUPPORTED',
        `a ${dtypeName(type.dtype)} constant cannot be recorded; use float32, int32 or bool`,
      );
    this.#sources.set(id, this.graph.constant(type, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
  }

  #executeOp(
    ...[op, attributes, inputIds, outputs]: Parameters<Binding['executeOp']>
  ): ReturnType<Binding['executeOp']> {
    const inputs = inputIds.map((id) => {
      const source = this.#sources.get(id);
      if (source === undefined)
        throw new EngineError('E_ENGINE_UNSUPPORTED', `op ${op} has an input that did not come through tfjs`);
      return source;
    });
    const sources = this.graph.op(op, attributes, inputs, outputs);
    const made = this.#binding.executeOp(op, attributes, inputIds, outputs);
    const strange = made.find(({ dtype }) => dtype === DataType.string || dtype === DataType.resource);
    if (strange !== undefined) {
      for (const { id } of made) this.#binding.deleteTensor(id);
      throw new EngineError(
        'E_ENGINE_UNSUPPORTED',
        `op ${op} makes a ${dtypeName(strange.dtype)} tensor, which cannot be recorded`,
      );
    }
    made.forEach(({ id }, index) => this.#sources.set(id, sources[index]));
    return made;
  }

  #read(id: number): ReturnType<Binding['tensorDataSync']> {
    const source = this.#sources.get(id);
    if (source?.varies === true) {
      throw new EngineError(
        'E_ENGINE_HOST_READ',
        `the value of ${source.op} is read on the host (dataSync, a condition on a value, or a tfjs op such as gather that checks its indices there); compute with ops only, by kernel() where need be`,
      );
    }
    return this.#binding.tensorDataSync(id);
  }
}

function hasShape(value: unknown): value is { shape: readonly number[]; dtype: string } {
  return (
    typeof value === 'object' && value !== null && 'shape' in value && Array.isArray(value.shape) && 'dtype' in value
  );
}

function dtypeOfArray(data: Float32Array | Int32Array | Uint8Array | BigInt64Array, dtype: string): number {
  if (data instanceof Float32Array) return dtype === 'complex64' ? DataType.complex64 : DataType.float32;
  if (data instanceof Int32Array) return DataType.int32;
  if (data instanceof BigInt64Array) return DataType.int64;
  return dtype === 'bool' ? DataType.bool : DataType.uint8;
}
