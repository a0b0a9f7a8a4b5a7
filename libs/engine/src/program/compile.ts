/**
 * A function of tensors, compiled: no JavaScript between the ops, memory planned once.
 *
 * The function is recorded when it is compiled, for the examples' shapes and types, and again for each other set of shapes
 * that it is run on, as tf.function and torch.compile do. The recorded graph becomes a program of our own kernels (lower/), whose bits
 * are the same on every machine; where no kernel covers an op, or the engine is TensorFlow, TensorFlow runs the graph. Of functions with an
 * identity it is kept on disk and loaded by whoever compiles the same function later: none of the time of recording, and for a program
 * none of TensorFlow's memory either.
 */
import type { TypedArray } from '../device/binding.js';
import type { EngineErrorCode, EngineName } from '@lockstep/base';
import { EngineError } from '../errors.js';
import { loadGraph, type Graph, type GraphInfo } from '../record/graph.js';
import { graphKey, type FunctionIdentity } from '../record/graph-key.js';
import { lower } from '../lower/lower.js';
import { decodeProgram, encodeProgram, isProgram } from '../lower/encode.js';
import { keptGraph, type Kept } from './graph-store.js';
import { loadProgram } from './run-program.js';
import type { Engine } from '../device/load.js';
import type { Stages } from '../record/stages.js';
import { shapesKey, sizeOf, type Targets, type TensorSpec } from '../record/tensor-spec.js';
import { trace, type TensorFunction } from '../record/trace.js';

/** What is about to be done: look for the graph on disk, record it, load it. After `ready` it can run. */
export type CompilePhase = 'look' | 'record' | 'load' | 'ready';

export type CompileOptions = {
  /** By which the graph is kept on disk, in the engine's folder of graphs; without it, it is not kept. */
  readonly identity?: FunctionIdentity;
  /** Which outputs are made first, which then, and so on (stages.ts); without it, all at once. */
  readonly stages?: Stages;
  /** Called at the start of each phase, of every graph: whoever wants durations reads a clock there. */
  readonly onPhase?: (phase: CompilePhase) => void;
  /** Told why a graph could not be kept or read; a process warning if left out. */
  readonly warn?: (text: string) => void;
};

/** An array of the example's shape, or one with a shape of its own. */
export type GraphInput = TypedArray | { readonly shape: readonly number[]; readonly data: TypedArray };

export type CompiledInfo = GraphInfo & {
  /** Whether it was recorded here or came from disk. */
  readonly source: Kept['source'];
  readonly runsOn: EngineName;
  /** Ops that no kernel covers, for which TensorFlow runs the whole although the engine is programs. */
  readonly uncovered: readonly string[];
};

export interface Compiled {
  /** Of the examples' graph, as the following two. */
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly info: CompiledInfo;
  /**
   * Runs the function. Inputs may be views on SharedArrayBuffers and are read in place, so nothing may write to them
   * meanwhile. Outputs are written to `targets` where there is one, else to fresh arrays. Inputs of shapes not seen among the
   * last MAX_GRAPHS are compiled first. `onStage` is called when the outputs of a stage are in their targets. Blocks its thread. Leaves no tensor behind, also where it throws.
   * @throws {EngineError} E_ENGINE_INPUT, E_ENGINE_OUTPUT, E_ENGINE_DISPOSED; for new shapes also what compile throws
   */
  run(inputs: readonly GraphInput[], targets?: Targets, onStage?: (stage: number) => void): TypedArray[];
  /** Frees all graphs and their sessions. A second call does nothing. */
  dispose(): void;
}

/** As many sets of shapes as torch.compile keeps of one function; each graph holds its own session and memory. */
export const MAX_GRAPHS = 8;

/**
 * Compiles `fn` by running it on `examples` (their data, or zeros), twice, to see that it does the same both times; or takes
 * its graph from disk, without running it. Tensors that fn captures become constants, and cannot be had with an identity.
 * @throws {EngineError} E_ENGINE_HOST_READ, E_ENGINE_UNSUPPORTED, E_ENGINE_SIDE_EFFECT, E_ENGINE_IMPURE, E_ENGINE_CAPTURE,
 *   E_ENGINE_OUTPUT, E_ENGINE_RECORDING, E_ENGINE_INPUT, E_ENGINE_MODEL
 */
export function compile(
  engine: Engine,
  fn: TensorFunction,
  examples: readonly TensorSpec[],
  options: CompileOptions = {},
): Compiled {
  const first = make(engine, fn, examples, options);
  /** By shapes and types; the one used longest ago comes first. */
  const graphs = new Map([[shapesKey(first.inputs), first]]);
  let disposed = false;

  const graphFor = (specs: readonly TensorSpec[]): Graph => {
    const key = shapesKey(specs);
    const graph = graphs.get(key) ?? make(engine, fn, specs, options);
    graphs.delete(key);
    graphs.set(key, graph);
    for (const [oldest, unused] of graphs) {
      if (graphs.size <= MAX_GRAPHS) break;
      graphs.delete(oldest);
      unused.dispose();
    }
    return graph;
  };

  return {
    inputs: first.inputs,
    outputs: first.outputs,
    info: first.info,
    run(inputs, targets, onStage) {
      if (disposed) throw new EngineError('E_ENGINE_DISPOSED', 'the function was disposed; compile it again');
      const specs = inputs.map((input, index) => specOf(input, first.inputs[index]));
      const graph = graphFor(specs.length === first.inputs.length ? specs : first.inputs);
      return graph.run(inputs.map(dataOf), targets, onStage);
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      for (const graph of graphs.values()) graph.dispose();
    },
  };
}

function make(
  engine: Engine,
  fn: TensorFunction,
  specs: readonly TensorSpec[],
  { identity, stages, onPhase, warn }: CompileOptions,
): Graph & { readonly info: CompiledInfo } {
  const record = (): Uint8Array => {
    onPhase?.('record');
    const { savedModel, captured } = trace(engine, fn, specs, { stages });
    if (identity !== undefined && captured !== null)
      throw new EngineError(
        'E_ENGINE_CAPTURE',
        `${identity.name} uses ${captured} from outside, by which its graph on disk would not be known; hand it in as an input, or make it inside`,
      );
    if (engine.programs === null) return savedModel;
    const lowered = lower(savedModel, stages);
    return 'program' in lowered ? encodeProgram(lowered.program) : savedModel;
  };
  const tell = (code: EngineErrorCode, message: string): void => {
    if (warn === undefined) process.emitWarning(message, { type: 'EngineWarning', code });
    else warn(`${code}: ${message}`);
  };
  const { graphs } = engine.options;
  onPhase?.('look');
  const { bytes, source }: Kept =
    identity === undefined || graphs === undefined
      ? { bytes: record(), source: 'recorded' }
      : keptGraph(graphs, graphKey(engine, identity, specs, stages), record, tell);
  onPhase?.('load');
  const { graph, runsOn, uncovered } = load(engine, bytes, stages);
  onPhase?.('ready');
  return { ...graph, info: Object.freeze({ ...graph.info, source, runsOn, uncovered }) };
}

/** What was recorded, be it a program or a saved model, ready to run. @throws {EngineError} E_ENGINE_MODEL */
function load(
  engine: Engine,
  bytes: Uint8Array,
  stages: Stages | undefined,
): Pick<CompiledInfo, 'runsOn' | 'uncovered'> & { readonly graph: Graph } {
  const { programs } = engine;
  if (programs !== null && isProgram(bytes))
    return {
      graph: loadProgram(programs, engine.options.threads, decodeProgram(bytes)),
      runsOn: 'program',
      uncovered: [],
    };
  const lowered = programs === null ? null : lower(bytes, stages);
  const uncovered = lowered !== null && 'uncovered' in lowered ? lowered.uncovered : [];
  return { graph: loadGraph(engine, bytes, stages), runsOn: 'tensorflow', uncovered };
}

function specOf(input: GraphInput, example: TensorSpec | undefined): TensorSpec {
  if (ArrayBuffer.isView(input)) return example ?? { shape: [input.length], dtype: 'float32' };
  const { shape, data } = input;
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0) || sizeOf(shape) !== data.length)
    throw new EngineError('E_ENGINE_INPUT', `[${shape.join()}] is not the shape of ${data.length} elements`);
  return { shape, dtype: data instanceof Int32Array ? 'int32' : 'float32' };
}

function dataOf(input: GraphInput): TypedArray {
  return ArrayBuffer.isView(input) ? input : input.data;
}
