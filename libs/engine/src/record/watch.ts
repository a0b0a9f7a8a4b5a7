/**
 * Watches the calls that tfjs makes while a function runs, and writes down the graph of what it did.
 *
 * tfjs-node sends each kernel to binding.executeOp in TensorFlow's own op names and attributes, so what passes there is a
 * graph already:
 *   executeOp            a node; its outputs' ids are remembered with the node that made them
 *   createTensor         a constant: axes, shapes and scalars that tfjs makes on the host
 *   getInputTensorIds    a tensor whose data was not made inside is captured: a constant, with the value that it has now
 *   tensorDataSync       an error where the value depends on an input: a graph has no host in the middle
 *   anything else        an error
 * A watch with a `first` follows a second run of the same function: it throws at the first call that differs, and computes
 * nothing that depends on inputs, for what comes out of it is known from the first run but for its values.
 */
import { isDeepStrictEqual } from 'node:util';
import { DataType, isBinding, type Binding, type Tensor, type TensorMetadata } from '../device/binding.js';
import { EngineError } from '../errors.js';
import { GraphBuilder, dtypeName, type Source, type TensorType } from './graph-builder.js';
import { checkOp, type Fail } from './purity.js';
import type { NodeMessage } from './saved-model-schema.js';
import { planStages, type Stages } from './stages.js';

/** Types that a constant's bytes are written for. */
const RECORDABLE: ReadonlySet<number> = new Set([
  DataType.float32,
  DataType.int32,
  DataType.int64,
  DataType.bool,
  DataType.uint8,
]);
/** Calls of the binding that ask it about itself, and so do no harm. */
const HARMLESS: ReadonlySet<string> = new Set(['getNumOfTensors', 'getNumOfSavedModels', 'isUsingGpuDevice']);

export class Watch {
  readonly graph = new GraphBuilder();
  /** The first tensor that was captured from outside, for messages. */
  captured: string | null = null;
  /** The first error: the function may have caught it, or have lost it in a promise. */
  failure: EngineError | null = null;
  readonly #binding: Binding;
  /** Data ids of the variables that there are: their values change, so none may become a constant. */
  readonly #variables: ReadonlySet<unknown>;
  readonly #first: Watch | null;
  /** Data ids of inputs, and of all that was made since. */
  readonly #inside = new WeakSet();
  readonly #sources = new Map<number, Source>();
  /** Ids made while watching and not deleted yet. */
  readonly #alive = new Map<number, Source>();
  /** What each node gave, by its first output. */
  readonly #made = new Map<string, readonly TensorMetadata[]>();
  #compared = 0;
  /** Ids of values that a second run does not compute: negative, as the binding's are not. tfjs does not delete those. */
  #pretended = -2;

  constructor(binding: Binding, variables: ReadonlySet<unknown>, first: Watch | null) {
    this.#binding = binding;
    this.#variables = variables;
    this.#first = first;
  }

  input(id: number, dataId: object, type: TensorType): void {
    this.#inside.add(dataId);
    this.#sources.set(id, this.graph.input(type));
    this.#compare();
  }

  output(index: number, id: number, tensor: Tensor): void {
    const dtype = tensor.dtype === 'float32' ? DataType.float32 : tensor.dtype === 'int32' ? DataType.int32 : undefined;
    if (dtype === undefined)
      this.fail('E_ENGINE_OUTPUT', `output ${index} is ${tensor.dtype}; cast it to float32 or int32`);
    const source = this.#sources.get(id);
    if (source === undefined || source.op === 'Const')
      this.fail(
        'E_ENGINE_OUTPUT',
        `output ${index} is a constant, made outside the function or from numbers, which no op computed; leave it out of the outputs`,
      );
    this.graph.output(source, { dtype, shape: tensor.shape });
    this.#compare();
  }

  /** Lets the graph be run in stages, where it is complete. @throws {EngineError} E_ENGINE_OUTPUT */
  stage(stages: Stages): void {
    for (const { handedOn } of planStages(this.graph.nodes, this.graph.outputs, stages))
      for (const tensor of handedOn) {
        const [node, output] = tensor.split(':');
        const dtype = this.#made.get(node)?.[Number(output)]?.dtype;
        if (dtype === undefined) throw new Error(`nothing made ${tensor}`);
        this.graph.handOn(tensor, dtype);
      }
  }

  /**
   * Called when the function has returned and its tensors are freed. `left`: how many more tensors tfjs counts than before.
   * tfjs' kernels may leave constants behind on their own, which is why the ids that are left do not count.
   */
  end(left: number): void {
    const alive = [...this.#alive.values()];
    const kept = alive.find(({ varies }) => varies) ?? alive.at(-1);
    if (left > 0)
      this.fail(
        'E_ENGINE_SIDE_EFFECT',
        `the function keeps a tensor of ${kept?.op ?? 'numbers'} beyond the call (tf.keep, or a cache); return it as an output, and keep the output`,
      );
    if (left < 0)
      this.fail('E_ENGINE_SIDE_EFFECT', 'the function disposes of a tensor from outside; leave that to its owner');
    const missing = this.#first?.graph.nodes[this.graph.nodes.length];
    if (missing !== undefined)
      this.#differs(`${this.#first?.describe(missing) ?? ''} comes the first time, nothing the second`);
  }

  readonly fail: Fail = (code, message) => {
    const error = new EngineError(code, message);
    this.failure ??= error;
    throw error;
  };

  /** A plain copy of the binding, for its own properties cannot be written, with the calls of interest noted. */
  binding(): Binding {
    const watched: Record<string, unknown> = {
      createTensor: (shape: number[], dtype: number, data: unknown) => this.#createTensor(shape, dtype, data),
      deleteTensor: (id: number) => this.#deleteTensor(id),
      executeOp: (...call: Parameters<Binding['executeOp']>) => this.#executeOp(...call),
      tensorDataSync: (id: number) => this.#read(id),
    };
    const entries = Object.entries(Object.getOwnPropertyDescriptors(this.#binding)).map(([name, descriptor]) => {
      const refuse = (): never =>
        this.fail('E_ENGINE_UNSUPPORTED', `${name}() is called inside the function; a graph holds ops only`);
      const own: unknown = descriptor.value;
      const value = watched[name] ?? (typeof own === 'function' && !HARMLESS.has(name) ? refuse : own);
      return [name, { value, enumerable: true }] as const;
    });
    const copy: unknown = Object.create(null, Object.fromEntries(entries));
    if (!isBinding(copy)) throw new TypeError('the binding lacks a call that recording needs');
    return copy;
  }

  /** Notes that tfjs made the data `dataId`. */
  inside(dataId: object): void {
    this.#inside.add(dataId);
  }

  isOutside(tensor: unknown): boolean {
    return hasShape(tensor) && !this.#inside.has(tensor.dataId);
  }

  /** Notes that data is read on the host: what comes from outside is captured so, too. */
  reads(dataId: object): void {
    if (!this.#inside.has(dataId)) this.#captureData(dataId, 'a value read on the host');
  }

  /** What `ids` the backend found for `tensors`: new ones are captured. */
  use(ids: readonly number[], tensors: readonly unknown[]): void {
    ids.forEach((id, index) => {
      if (!this.#sources.has(id)) this.#capture(id, tensors[index]);
    });
  }

  /** Shapes and types that the node with this first output gave. */
  made({ ref, op }: Source): readonly TensorMetadata[] {
    const made = this.#made.get(ref);
    if (made === undefined) throw new Error(`${op} was compared with a node that was not run`);
    return made;
  }

  /** A node, for messages; a constant by the first op that uses it. */
  describe(node: NodeMessage): string {
    if (node.op !== 'Const') return `op ${node.op}`;
    const { value } = node.attr;
    const type = 'tensor' in value ? value.tensor : undefined;
    const shape = type?.tensorShape.dim?.map(({ size }) => size ?? 0).join() ?? '';
    const user = this.graph.nodes.find(({ input }) => input.includes(node.name));
    const use = user === undefined ? '' : `, used by op ${user.op},`;
    return `a constant of ${dtypeName(type?.dtype ?? 0)} [${shape}]${use}`;
  }

  /** Compares the nodes made since the last comparison with the first run's. */
  #compare(): void {
    if (this.#first === null) return;
    for (; this.#compared < this.graph.nodes.length; this.#compared++) {
      const node = this.graph.nodes[this.#compared];
      const before = this.#first.graph.nodes[this.#compared];
      if (isDeepStrictEqual(node, before)) continue;
      if (before === undefined) this.#differs(`nothing comes the first time, ${this.describe(node)} the second`);
      const [was, is] = [this.#first.describe(before), this.describe(node)];
      this.#differs(
        node.op === before.op
          ? `${was} has other values, attributes or inputs the second time`
          : `${was} comes the first time, ${is} the second`,
      );
    }
  }

  #differs(what: string): never {
    return this.fail(
      'E_ENGINE_IMPURE',
      `run twice, the function does not do the same: ${what}; hand in what changes, such as a random number, the time or a count`,
    );
  }

  #captureData(dataId: object, what: string): void {
    if (this.#variables.has(dataId))
      this.fail(
        'E_ENGINE_UNSUPPORTED',
        'the function reads a tf.Variable, whose value would stay what it is now; hand its value in as an input',
      );
    this.captured ??= what;
  }

  #capture(id: number, tensor: unknown): void {
    if (!hasShape(tensor)) this.fail('E_ENGINE_UNSUPPORTED', 'an op was given something that is no tensor');
    this.#captureData(tensor.dataId, `a tensor of ${tensor.dtype} [${tensor.shape.join()}]`);
    const data = this.#binding.tensorDataSync(id);
    if (Array.isArray(data))
      this.fail('E_ENGINE_UNSUPPORTED', 'a captured string tensor cannot be recorded; hand numbers to the function');
    this.#constant(id, { dtype: dtypeOfArray(data, tensor.dtype), shape: tensor.shape }, data);
  }

  #createTensor(shape: number[], dtype: number, data: unknown): number {
    if (!ArrayBuffer.isView(data))
      return this.fail(
        'E_ENGINE_UNSUPPORTED',
        `a ${dtypeName(dtype)} tensor was made inside the recorded function; only numbers can be recorded`,
      );
    const id = this.#binding.createTensor(shape, dtype, data);
    try {
      this.#alive.set(id, this.#constant(id, { dtype, shape }, data));
    } catch (error) {
      this.#binding.deleteTensor(id);
      throw error;
    }
    return id;
  }

  #constant(id: number, type: TensorType, data: ArrayBufferView): Source {
    if (!RECORDABLE.has(type.dtype))
      this.fail(
        'E_ENGINE_UNSUPPORTED',
        `a ${dtypeName(type.dtype)} constant cannot be recorded; use float32, int32 or bool`,
      );
    const source = this.graph.constant(type, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.#compare();
    this.#sources.set(id, source);
    return source;
  }

  #deleteTensor(id: number): void {
    this.#alive.delete(id);
    this.#binding.deleteTensor(id);
  }

  #executeOp(
    ...[op, attributes, inputIds, outputs]: Parameters<Binding['executeOp']>
  ): ReturnType<Binding['executeOp']> {
    checkOp(op, this.fail);
    const inputs = inputIds.map((id) => {
      const source = this.#sources.get(id);
      if (source === undefined)
        return this.fail('E_ENGINE_UNSUPPORTED', `op ${op} has an input that did not come through tfjs`);
      return source;
    });
    const sources = this.graph.op(op, attributes, inputs, outputs);
    this.#compare();
    if (this.#first !== null && sources[0].varies) return this.#pretend(this.#first.made(sources[0]), sources);
    const made = this.#binding.executeOp(op, attributes, inputIds, outputs);
    const strange = made.find(({ dtype }) => dtype === DataType.string || dtype === DataType.resource);
    if (strange !== undefined) {
      for (const { id } of made) this.#binding.deleteTensor(id);
      this.fail(
        'E_ENGINE_UNSUPPORTED',
        `op ${op} makes a ${dtypeName(strange.dtype)} tensor, which cannot be recorded`,
      );
    }
    // tfjs owns what it is handed, shapes too.
    this.#made.set(
      sources[0].ref,
      made.map((metadata) => ({ ...metadata, shape: [...metadata.shape] })),
    );
    made.forEach(({ id }, index) => {
      this.#sources.set(id, sources[index]);
      this.#alive.set(id, sources[index]);
    });
    return made;
  }

  #pretend(known: readonly TensorMetadata[], sources: readonly Source[]): TensorMetadata[] {
    return known.map(({ shape, dtype }, index) => {
      const id = this.#pretended--;
      this.#sources.set(id, sources[index]);
      return { id, shape: [...shape], dtype };
    });
  }

  #read(id: number): ReturnType<Binding['tensorDataSync']> {
    const source = this.#sources.get(id);
    if (source?.varies === true)
      this.fail(
        'E_ENGINE_HOST_READ',
        `the value of ${source.op} is read on the host (dataSync, print, or a condition on a value); compute with ops only, by kernel() where need be`,
      );
    return this.#binding.tensorDataSync(id);
  }
}

function hasShape(value: unknown): value is { shape: readonly number[]; dtype: string; dataId: object } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'shape' in value &&
    Array.isArray(value.shape) &&
    'dtype' in value &&
    'dataId' in value &&
    typeof value.dataId === 'object'
  );
}

function dtypeOfArray(data: Float32Array | Int32Array | Uint8Array | BigInt64Array, dtype: string): number {
  if (data instanceof Float32Array) return dtype === 'complex64' ? DataType.complex64 : DataType.float32;
  if (data instanceof Int32Array) return DataType.int32;
  if (data instanceof BigInt64Array) return DataType.int64;
  return dtype === 'bool' ? DataType.bool : DataType.uint8;
}
