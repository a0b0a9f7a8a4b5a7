/**
 * A function of tensors, recorded once and then run as a TensorFlow graph: no JavaScript between the ops, memory planned
 * once, about twice as fast a training step as op by op. One recording holds for one set of shapes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataType, type Binding, type TypedArray } from './binding.js';
import { EngineError } from './errors.js';
import { SIGNATURE, TAG } from './graphBuilder.js';
import type { Engine } from './load.js';
import { decodeSavedModel, type DecodedGraph, type TensorInfoMessage } from './savedModelSchema.js';
import { checkInputs, dataTypeOf, type TensorSpec } from './tensorSpec.js';
import { trace, type TensorFunction } from './trace.js';

export type RecordedInfo = {
  /** Nodes of the graph, constants and placeholders included. */
  readonly nodes: number;
  /** How often each op occurs, by name. */
  readonly ops: Readonly<Record<string, number>>;
  /** Size of the saved model. */
  readonly bytes: number;
};

export interface Recorded {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly info: RecordedInfo;
  /** The bytes of saved_model.pb: equal for equal functions, shapes and captured values. loadRecorded takes them elsewhere. */
  readonly savedModel: Uint8Array;
  /**
   * Runs the graph. Inputs may be views on SharedArrayBuffers and are read in place, so nothing may write to them
   * meanwhile; outputs are fresh arrays. Blocks its thread. Leaves no tensor behind, also where it throws.
   * @throws {EngineError} E_ENGINE_INPUT, E_ENGINE_DISPOSED
   */
  run(inputs: readonly TypedArray[]): TypedArray[];
  /** Frees the graph and its session. A second call does nothing. */
  dispose(): void;
}

/**
 * Records `fn` by running it once on `examples` (their data, or zeros). Tensors that fn captures become constants.
 * @throws {EngineError} E_ENGINE_HOST_READ, E_ENGINE_UNSUPPORTED, E_ENGINE_OUTPUT, E_ENGINE_RECORDING, E_ENGINE_INPUT
 */
export function record(engine: Engine, fn: TensorFunction, examples: readonly TensorSpec[]): Recorded {
  return loadRecorded(engine, trace(engine, fn, examples));
}

/**
 * Loads the bytes that another thread or process recorded: half the memory of recording, and none of the time.
 * @throws {EngineError} E_ENGINE_MODEL
 */
export function loadRecorded(engine: Engine, savedModel: Uint8Array): Recorded {
  const { inputs, outputs, info } = describe(savedModel);
  const { binding } = engine.backend;
  const model = loadModel(binding, savedModel);
  const inputNames = inputs.map((_, index) => `p${index}:0`).join();
  const outputNames = outputs.map((_, index) => `o${index}:0`).join();
  let disposed = false;
  return {
    inputs,
    outputs,
    info,
    savedModel,
    run(data) {
      if (disposed) throw new EngineError('E_ENGINE_DISPOSED', 'the recording was disposed; record or load it again');
      checkInputs(inputs, data);
      const ids: number[] = [];
      try {
        inputs.forEach((spec, index) => ids.push(binding.createTensor([...spec.shape], dataTypeOf(spec), data[index])));
        const made = binding.runSavedModel(model, ids, inputNames, outputNames);
        for (const { id } of made) ids.push(id);
        return made.map(({ id }) => numbers(binding.tensorDataSync(id)));
      } finally {
        for (const id of ids) binding.deleteTensor(id);
      }
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      binding.deleteSavedModel(model);
    },
  };
}

/** The binding loads from a folder only; the folder lives as long as the call. */
function loadModel(binding: Binding, savedModel: Uint8Array): number {
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-graph-'));
  try {
    writeFileSync(join(directory, 'saved_model.pb'), savedModel);
    return binding.loadSavedModel(directory, TAG);
  } catch (error) {
    throw new EngineError(
      'E_ENGINE_MODEL',
      `TensorFlow cannot load the recording: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Reads inputs, outputs and statistics back from the bytes, so that a loaded recording knows as much as a fresh one. */
function describe(savedModel: Uint8Array): Pick<Recorded, 'inputs' | 'outputs' | 'info'> {
  const graph = decode(savedModel);
  const signature = graph?.signatureDef?.[SIGNATURE];
  if (graph?.graphDef === undefined || signature?.outputs === undefined) throw notARecording();
  const ops: Record<string, number> = {};
  for (const { op } of graph.graphDef.node) ops[op] = (Object.hasOwn(ops, op) ? ops[op] : 0) + 1;
  return {
    inputs: specs(signature.inputs ?? {}, 'p'),
    outputs: specs(signature.outputs, 'o'),
    info: { nodes: graph.graphDef.node.length, ops, bytes: savedModel.byteLength },
  };
}

function decode(savedModel: Uint8Array): DecodedGraph | undefined {
  try {
    return decodeSavedModel(savedModel).metaGraphs?.[0];
  } catch (error) {
    throw notARecording(error);
  }
}

function notARecording(cause?: unknown): EngineError {
  return new EngineError(
    'E_ENGINE_MODEL',
    'the bytes are not a recording made by record(); record the function again',
    { cause },
  );
}

function specs(infos: Record<string, TensorInfoMessage | undefined>, prefix: string): TensorSpec[] {
  return Object.keys(infos).map((_, index) => {
    const info = infos[`${prefix}${index}`];
    if (info === undefined || (info.dtype !== DataType.float32 && info.dtype !== DataType.int32)) throw notARecording();
    const shape = (info.tensorShape?.dim ?? []).map(({ size }) => size ?? 0);
    return Object.freeze({ shape: Object.freeze(shape), dtype: info.dtype === DataType.float32 ? 'float32' : 'int32' });
  });
}

function numbers(data: ReturnType<Binding['tensorDataSync']>): TypedArray {
  if (data instanceof Float32Array || data instanceof Int32Array) return data;
  throw new TypeError('outputs are float32 or int32 by construction');
}
