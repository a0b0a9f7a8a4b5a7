/** A recorded graph in TensorFlow's hands: loaded from bytes, run on arrays, freed. */
import { createHash, randomUUID } from 'node:crypto';
import { DataType, type Binding, type TensorMetadata, type TypedArray } from '../device/binding.js';
import { EngineError } from '../errors.js';
import { SIGNATURE, TAG } from './graph-builder.js';
import type { Engine } from '../device/load.js';
import { decodeSavedModel, type DecodedGraph, type NodeMessage, type TensorInfoMessage } from './saved-model-schema.js';
import { handOverName, planStages, type Stages } from './stages.js';
import { checkInputs, checkTargets, dataTypeOf, type Targets, type TensorSpec } from './tensor-spec.js';

export type GraphInfo = {
  /** Nodes of the graph, constants and placeholders included. */
  readonly nodes: number;
  /** How often each op occurs, by name. */
  readonly ops: Readonly<Record<string, number>>;
  /** Size of the saved model. */
  readonly bytes: number;
  /** sha256 of the saved model: equal for equal functions, shapes and captured values. */
  readonly digest: string;
};

/** What the bytes of a saved model say. */
export type Description = Pick<Graph, 'inputs' | 'outputs' | 'info'> & { readonly nodes: readonly NodeMessage[] };

export interface Graph {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly info: GraphInfo;
  /** As Compiled.run. @throws {EngineError} E_ENGINE_INPUT, E_ENGINE_OUTPUT */
  run(inputs: readonly TypedArray[], targets?: Targets, onStage?: (stage: number) => void): TypedArray[];
  /** Frees the graph and its session; to be called once. */
  dispose(): void;
}

/**
 * Loads the bytes of a saved_model.pb. Without `stages` all outputs are made at once.
 * @throws {EngineError} E_ENGINE_MODEL, E_ENGINE_OUTPUT if the stages do not name each output once
 */
export function loadGraph(engine: Engine, savedModel: Uint8Array, stages?: Stages): Graph {
  const { inputs, outputs, info, nodes } = describe(savedModel);
  const plan = planStages(nodes, outputs.length, stages);
  const { binding } = engine.backend;
  const model = loadModel(binding, savedModel);
  return {
    inputs,
    outputs,
    info,
    run(data, targets, onStage) {
      checkInputs(inputs, data);
      checkTargets(outputs, targets);
      /** Tensors by name, freed together in the end. */
      const tensors = new Map<string, number>();
      const results: TypedArray[] = [];
      try {
        inputs.forEach((spec, index) =>
          tensors.set(`p${index}:0`, binding.createTensor([...spec.shape], dataTypeOf(spec), data[index])),
        );
        for (const [number, { feeds, handedOn, outputs: made }] of plan.entries()) {
          const ids = feeds.map((name) => tensors.get(name) ?? NaN);
          const names = [...made.map((output) => `o${output}`), ...handedOn];
          const fetches = [
            ...made.map((output) => `o${output}:0`),
            ...handedOn.map((name) => `${handOverName(name)}:0`),
          ];
          const found = binding.runSavedModel(model, ids, feeds.join(), fetches.join());
          found.forEach(({ id }, index) => tensors.set(names[index], id));
          made.forEach((output, index) => {
            results[output] = fetch(binding, found[index], outputs[output], targets?.[output]);
          });
          onStage?.(number);
        }
        return results;
      } finally {
        for (const id of tensors.values()) binding.deleteTensor(id);
      }
    },
    dispose: () => binding.deleteSavedModel(model),
  };
}

/** The binding copies what it hands out to a fresh array, so a target costs a second copy. */
function fetch(
  binding: Binding,
  { id, shape }: TensorMetadata,
  spec: TensorSpec,
  target: TypedArray | null | undefined,
): TypedArray {
  if (shape.join() !== spec.shape.join())
    throw new EngineError(
      'E_ENGINE_OUTPUT',
      `an output came out as [${shape.join()}] where [${spec.shape.join()}] was recorded: its shape depends on values; use ops with fixed shapes`,
    );
  const values = binding.tensorDataSync(id);
  if (!(values instanceof Float32Array || values instanceof Int32Array))
    throw new TypeError('outputs are float32 or int32 by construction');
  target?.set(values);
  return target ?? values;
}

/**
 * The binding loads from a folder only. TensorFlow has a file system of its own in memory, ram://, so that no disk needs to be
 * there, writable or free. Nothing of it can be deleted, so what is read is written over by nothing: a name is left, of some bytes.
 */
function loadModel(binding: Binding, savedModel: Uint8Array): number {
  const directory = `ram://lockstep-graph-${randomUUID()}`;
  const file = `${directory}/saved_model.pb`;
  try {
    writeFile(binding, file, savedModel);
    try {
      return binding.loadSavedModel(directory, TAG);
    } finally {
      writeFile(binding, file, new Uint8Array());
    }
  } catch (error) {
    throw new EngineError(
      'E_ENGINE_MODEL',
      `TensorFlow cannot load the graph: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

/** TensorFlow's op of that name; it makes the folder. */
function writeFile(binding: Binding, path: string, content: Uint8Array): void {
  const ids = [Buffer.from(path), content].map((bytes) => binding.createTensor([], DataType.string, [bytes]));
  try {
    binding.executeOp('WriteFile', [], ids, 0);
  } finally {
    for (const id of ids) binding.deleteTensor(id);
  }
}

/** Reads inputs, outputs and statistics back from the bytes, so that a graph from disk knows as much as a fresh one. */
export function describe(savedModel: Uint8Array): Description {
  const graph = decode(savedModel);
  const signature = graph?.signatureDef?.[SIGNATURE];
  if (graph?.graphDef === undefined || signature?.outputs === undefined) throw notAGraph();
  const ops: Record<string, number> = {};
  for (const { op } of graph.graphDef.node) ops[op] = (Object.hasOwn(ops, op) ? ops[op] : 0) + 1;
  return {
    inputs: specs(signature.inputs ?? {}, 'p'),
    outputs: specs(signature.outputs, 'o'),
    nodes: graph.graphDef.node,
    info: {
      nodes: graph.graphDef.node.length,
      ops,
      bytes: savedModel.byteLength,
      digest: createHash('sha256').update(savedModel).digest('hex'),
    },
  };
}

function decode(savedModel: Uint8Array): DecodedGraph | undefined {
  try {
    return decodeSavedModel(savedModel).metaGraphs?.[0];
  } catch (error) {
    throw notAGraph(error);
  }
}

function notAGraph(cause?: unknown): EngineError {
  return new EngineError('E_ENGINE_MODEL', 'the bytes are not a graph made by compile(); compile the function again', {
    cause,
  });
}

function specs(infos: Record<string, TensorInfoMessage | undefined>, prefix: string): TensorSpec[] {
  return Object.keys(infos).map((_, index) => {
    const info = infos[`${prefix}${index}`];
    if (info === undefined || (info.dtype !== DataType.float32 && info.dtype !== DataType.int32)) throw notAGraph();
    const shape = (info.tensorShape?.dim ?? []).map(({ size }) => size ?? 0);
    return Object.freeze({ shape: Object.freeze(shape), dtype: info.dtype === DataType.float32 ? 'float32' : 'int32' });
  });
}
