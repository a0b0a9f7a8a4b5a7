/**
 * The part of tfjs-node's native binding that this library speaks to directly: eager execution and sessions of the
 * TensorFlow C API, behind integer tensor ids. Ids are never reused; whoever made one must delete it.
 */
import type * as tfjs from '@tensorflow/tfjs-node-gpu';

/** The whole of tfjs, with the TensorFlow backend registered. */
export type TF = typeof tfjs;
export type Tensor = tfjs.Tensor;
export type Tensor4D = tfjs.Tensor4D;
/** What kernels take of a tensor. */
export type TensorInfo = tfjs.TensorInfo;

/** One attribute of an op in the binding's form: `type` is a TF_AttrType number, `value` depends on it. */
export type OpAttribute = { readonly name: string; readonly type: number; readonly value: unknown };
export type TensorMetadata = { readonly id: number; readonly shape: number[]; readonly dtype: number };
export type TypedArray = Float32Array | Int32Array;

export interface Binding {
  createTensor(shape: number[], dtype: number, data: unknown): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array | BigInt64Array;
  executeOp(op: string, attributes: OpAttribute[], inputIds: number[], outputs: number): TensorMetadata[];
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputIds: number[], inputNames: string, outputNames: string): TensorMetadata[];
  getNumOfTensors(): number;
  getNumOfSavedModels(): number;
  isUsingGpuDevice(): boolean;
  readonly TF_Version: string;
}

/** tfjs-node's kernel backend, as far as recording needs it. */
export interface Backend {
  binding: Binding;
  /** What tfjs knows of each tensor's data; the numbers of one made on the host may not be in a TensorFlow tensor yet. */
  readonly tensorMap: { set(dataId: object, data: unknown): void };
  getInputTensorIds(tensors: unknown[]): number[];
  read(dataId: object): Promise<unknown>;
  readSync(dataId: object): unknown;
  executeSingleOutput(op: string, attributes: OpAttribute[], inputs: TensorInfo[]): Tensor;
  executeMultipleOutputs(op: string, attributes: OpAttribute[], inputs: Tensor[], outputs: number): Tensor[];
}

/** TF_DataType numbers of the C API, equal to DataType of the protocol buffers. */
export const DataType = Object.freeze({
  float32: 1,
  int32: 3,
  uint8: 4,
  string: 7,
  complex64: 8,
  int64: 9,
  bool: 10,
  resource: 20,
});

/** TF_AttrType numbers of the C API. */
export const AttrType = Object.freeze({ string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5 });

/**
 * The active tfjs backend. The one place where tfjs' public type is narrowed to tfjs-node's: the fields that are relied on
 * are looked at first.
 */
export function backendOf(tf: TF): Backend {
  const backend: unknown = tf.backend();
  if (isBackend(backend)) return backend;
  throw new TypeError('the active tfjs backend is not the TensorFlow backend');
}

function isBackend(value: unknown): value is Backend {
  return (
    has(value, [
      'binding',
      'tensorMap',
      'getInputTensorIds',
      'read',
      'readSync',
      'executeSingleOutput',
      'executeMultipleOutputs',
    ]) && isBinding(Reflect.get(value, 'binding'))
  );
}

/** Whether `value` has the calls of the binding that recording watches. */
export function isBinding(value: unknown): value is Binding {
  return has(value, ['createTensor', 'deleteTensor', 'executeOp', 'tensorDataSync', 'runSavedModel']);
}

function has(value: unknown, names: readonly string[]): value is object {
  return typeof value === 'object' && value !== null && names.every((name) => name in value);
}
