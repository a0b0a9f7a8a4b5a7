/**
 * Builds the graph of a recording, node by node. Names: p<k> the k-th input, n<k> the k-th op, c<k> the k-th constant,
 * o<k> the k-th output, h<tensor> what hands a tensor on; "n7:1" is the second output of n7.
 */
import { AttrType, DataType, type OpAttribute } from '../device/binding.js';
import { EngineError } from '../errors.js';
import {
  encodeSavedModel,
  type AttrMessage,
  type NodeMessage,
  type ShapeMessage,
  type TensorInfoMessage,
} from './saved-model-schema.js';
import { handOverName } from './stages.js';

/** GraphDef version that the ops are written for: that of the pinned TensorFlow's own graphs. */
const PRODUCER = 1882;
/** The tag under which the binding is told to look for the graph. */
export const TAG = 'serve';
export const SIGNATURE = 'serving_default';
/** Constants up to this many bytes are shared when equal: axes, shapes and scalars, of which a step has hundreds. */
const SHARED_BYTES = 256;

/** Where a tensor comes from: the node's output, the op for messages, and whether its value depends on the inputs. */
export type Source = { readonly ref: string; readonly op: string; readonly varies: boolean };
/** What others call the inputs and outputs of a saved model, in order. */
export type SignatureNames = { readonly inputs: readonly string[]; readonly outputs: readonly string[] };
export type TensorType = { readonly dtype: number; readonly shape: readonly number[] };

const shapeMessage = (shape: readonly number[]): ShapeMessage => ({ dim: shape.map((size) => ({ size })) });
const outputName = (ref: string): string => (ref.includes(':') ? ref : `${ref}:0`);

export class GraphBuilder {
  readonly #nodes: NodeMessage[] = [];
  readonly #inputs: Record<string, TensorInfoMessage> = {};
  readonly #outputs: Record<string, TensorInfoMessage> = {};
  readonly #shared = new Map<string, Source>();
  #ops = 0;
  #constants = 0;

  input({ dtype, shape }: TensorType): Source {
    const index = Object.keys(this.#inputs).length;
    const name = `p${index}`;
    this.#nodes.push({
      name,
      op: 'Placeholder',
      input: [],
      attr: { dtype: { type: dtype }, shape: { shape: shapeMessage(shape) } },
    });
    this.#inputs[name] = { name: outputName(name), dtype, tensorShape: shapeMessage(shape) };
    return { ref: name, op: `input ${index}`, varies: true };
  }

  /** A constant of the little-endian bytes of `data`, which are copied. */
  constant({ dtype, shape }: TensorType, data: Uint8Array): Source {
    const key =
      data.byteLength <= SHARED_BYTES ? `${dtype}|${shape.join()}|${Buffer.from(data).toString('latin1')}` : undefined;
    const known = key === undefined ? undefined : this.#shared.get(key);
    if (known !== undefined) return known;
    const name = `c${this.#constants++}`;
    const tensor = { dtype, tensorShape: shapeMessage(shape), tensorContent: Uint8Array.from(data) };
    this.#nodes.push({ name, op: 'Const', input: [], attr: { dtype: { type: dtype }, value: { tensor } } });
    const source = { ref: name, op: 'Const', varies: false };
    if (key !== undefined) this.#shared.set(key, source);
    return source;
  }

  /** One op; returns its `outputs` outputs. */
  op(op: string, attributes: readonly OpAttribute[], inputs: readonly Source[], outputs: number): Source[] {
    const name = `n${this.#ops++}`;
    const attr = Object.fromEntries(attributes.map((attribute) => [attribute.name, attrMessage(op, attribute)]));
    this.#nodes.push({ name, op, input: inputs.map((source) => source.ref), attr });
    const varies = inputs.some((source) => source.varies);
    return Array.from({ length: outputs }, (_, index) => ({
      ref: index === 0 ? name : `${name}:${index}`,
      op,
      varies,
    }));
  }

  /** Marks `source` as the next output. An Identity gives each output a node of its own, also where an input is handed on. */
  output(source: Source, { dtype, shape }: TensorType): void {
    const name = `o${Object.keys(this.#outputs).length}`;
    this.#nodes.push({ name, op: 'Identity', input: [source.ref], attr: { T: { type: dtype } } });
    this.#outputs[name] = { name: outputName(name), dtype, tensorShape: shapeMessage(shape) };
  }

  /** Makes a tensor one that a stage can hand on to later ones (stages.ts). */
  handOn(tensor: string, dtype: number): void {
    this.#nodes.push({ name: handOverName(tensor), op: 'Identity', input: [tensor], attr: { T: { type: dtype } } });
  }

  get outputs(): number {
    return Object.keys(this.#outputs).length;
  }

  /** The nodes so far, in the order in which they were made. */
  get nodes(): readonly NodeMessage[] {
    return this.#nodes;
  }

  /**
   * The whole as the bytes of a saved_model.pb: a function of the calls made, and of nothing else. Without `names` the signature
   * has those of the nodes, by which graph.ts runs it.
   */
  savedModel(names?: SignatureNames): Uint8Array {
    return encodeSavedModel({
      savedModelSchemaVersion: 1,
      metaGraphs: [
        {
          metaInfoDef: { tags: [TAG] },
          graphDef: { node: this.#nodes, versions: { producer: PRODUCER } },
          signatureDef: {
            [SIGNATURE]: {
              inputs: renamed(this.#inputs, names?.inputs),
              outputs: renamed(this.#outputs, names?.outputs),
              methodName: 'tensorflow/serving/predict',
            },
          },
        },
      ],
    });
  }
}

function renamed<T>(tensors: Record<string, T>, names: readonly string[] | undefined): Record<string, T> {
  if (names === undefined) return tensors;
  return Object.fromEntries(Object.values(tensors).map((tensor, index) => [names[index], tensor]));
}

/** The protocol buffer's form of an attribute that the binding was given. */
function attrMessage(op: string, { name, type, value }: OpAttribute): AttrMessage {
  switch (type) {
    case AttrType.string:
      if (typeof value === 'string') return { s: Buffer.from(value) };
      break;
    case AttrType.int:
      if (typeof value === 'number') return { i: value };
      if (isNumbers(value)) return { list: { i: [...value] } };
      break;
    case AttrType.float:
      if (typeof value === 'number') return { f: value };
      if (isNumbers(value)) return { list: { f: [...value] } };
      break;
    case AttrType.bool:
      if (typeof value === 'boolean') return { b: value };
      if (Array.isArray(value)) return { list: { b: value.map(Boolean) } };
      break;
    case AttrType.type:
      if (typeof value === 'number') return { type: value };
      break;
    case AttrType.shape:
      if (isNumbers(value)) return { shape: shapeMessage(value) };
      break;
  }
  throw new EngineError(
    'E_ENGINE_UNSUPPORTED',
    `attribute ${name} of op ${op} (kind ${type}) cannot be recorded; use another op`,
  );
}

function isNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

/** The name of a dtype number, for messages. */
export function dtypeName(dtype: number): string {
  return Object.entries(DataType).find(([, number]) => number === dtype)?.[0] ?? `dtype ${dtype}`;
}
