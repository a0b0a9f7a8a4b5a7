/**
 * The fields of TensorFlow's protocol buffers that a recording uses, with their numbers in tensorflow/core/framework
 * (tensor_shape, tensor, attr_value, node_def, versions, graph .proto) and core/protobuf (meta_graph, saved_model .proto).
 */
import protobuf from 'protobufjs/light.js';

type Field = { id: number; type: string; rule?: 'repeated'; keyType?: string };
const one = (type: string, id: number): Field => ({ type, id });
const many = (type: string, id: number): Field => ({ type, id, rule: 'repeated' });
const map = (type: string, id: number): Field => ({ type, id, keyType: 'string' });

const root = protobuf.Root.fromJSON({
  nested: {
    Dim: { fields: { size: one('int64', 1) } },
    TensorShape: { fields: { dim: many('Dim', 2) } },
    Tensor: { fields: { dtype: one('int32', 1), tensorShape: one('TensorShape', 2), tensorContent: one('bytes', 4) } },
    ListValue: { fields: { i: many('int64', 3), f: many('float', 4), b: many('bool', 5) } },
    AttrValue: {
      oneofs: { value: { oneof: ['list', 's', 'i', 'f', 'b', 'type', 'shape', 'tensor'] } },
      fields: {
        list: one('ListValue', 1),
        s: one('bytes', 2),
        i: one('int64', 3),
        f: one('float', 4),
        b: one('bool', 5),
        type: one('int32', 6),
        shape: one('TensorShape', 7),
        tensor: one('Tensor', 8),
      },
    },
    NodeDef: {
      fields: { name: one('string', 1), op: one('string', 2), input: many('string', 3), attr: map('AttrValue', 5) },
    },
    Versions: { fields: { producer: one('int32', 1) } },
    GraphDef: { fields: { node: many('NodeDef', 1), versions: one('Versions', 4) } },
    TensorInfo: { fields: { name: one('string', 1), dtype: one('int32', 2), tensorShape: one('TensorShape', 3) } },
    Signature: {
      fields: { inputs: map('TensorInfo', 1), outputs: map('TensorInfo', 2), methodName: one('string', 3) },
    },
    MetaInfo: { fields: { tags: many('string', 4) } },
    MetaGraph: {
      fields: { metaInfoDef: one('MetaInfo', 1), graphDef: one('GraphDef', 2), signatureDef: map('Signature', 5) },
    },
    SavedModel: { fields: { savedModelSchemaVersion: one('int64', 1), metaGraphs: many('MetaGraph', 2) } },
  },
});

export type ShapeMessage = { dim?: { size?: number }[] };
export type AttrMessage =
  | { list: { i?: number[]; f?: number[]; b?: boolean[] } }
  | { s: Uint8Array }
  | { i: number }
  | { f: number }
  | { b: boolean }
  | { type: number }
  | { shape: ShapeMessage }
  | { tensor: { dtype: number; tensorShape: ShapeMessage; tensorContent: Uint8Array } };
export type NodeMessage = { name: string; op: string; input: string[]; attr: Record<string, AttrMessage> };
export type TensorInfoMessage = { name: string; dtype: number; tensorShape?: ShapeMessage };
export type SavedModelMessage = {
  savedModelSchemaVersion: number;
  metaGraphs: {
    metaInfoDef: { tags: string[] };
    graphDef: { node: NodeMessage[]; versions: { producer: number } };
    signatureDef: Record<
      string,
      { inputs: Record<string, TensorInfoMessage>; outputs: Record<string, TensorInfoMessage>; methodName: string }
    >;
  }[];
};

/** A graph read from bytes, of which nothing is sure yet. */
export type DecodedGraph = Omit<Partial<SavedModelMessage['metaGraphs'][number]>, 'signatureDef'> & {
  signatureDef?: Record<string, Partial<SavedModelMessage['metaGraphs'][number]['signatureDef'][string]> | undefined>;
};

const SavedModel = root.lookupType('SavedModel');

/** Bytes of a saved_model.pb. Fields in the order of their numbers, maps in insertion order: equal messages, equal bytes. */
export function encodeSavedModel(message: SavedModelMessage): Uint8Array {
  return SavedModel.encode(SavedModel.fromObject(message)).finish();
}

/**
 * The inverse of encodeSavedModel, fields that this schema lacks left out. Throws protobufjs' errors on bytes that are no
 * message; a message of another kind comes back with fields missing, which the caller checks.
 */
export function decodeSavedModel(bytes: Uint8Array): { metaGraphs?: DecodedGraph[] } {
  return SavedModel.toObject(SavedModel.decode(bytes), { longs: Number });
}
