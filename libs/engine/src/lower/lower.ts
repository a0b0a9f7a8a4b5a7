/** A recorded graph as a program. */
import { COMPOSED } from './composed.js';
import { constantOf } from './constant.js';
import { DENSE } from './dense.js';
import { Draft, type Buffer } from './draft.js';
import { accessOf } from './instructions.js';
import { ELEMENTWISE } from './elementwise.js';
import { FILLS } from './fill.js';
import { MOVES } from './move.js';
import { Node, Uncovered, type Lowerings } from './node.js';
import { NORM } from './norm.js';
import { place, type Placed } from './place.js';
import { POOL } from './pool.js';
import { ARENA, CONSTANTS, INPUTS, type BufferPlace, type Program } from './program.js';
import { REDUCTIONS } from './reduce.js';
import { denseStrides, type Storage, type Value } from './values.js';
import { EngineError } from '../errors.js';
import { describe, type Description } from '../record/graph.js';
import type { NodeMessage } from '../record/saved-model-schema.js';
import { isLeaf, stageNodes, type Stages } from '../record/stages.js';
import { sizeOf } from '../record/tensor-spec.js';

/** What no kernel covers, as "op: why", if anything is; then TensorFlow runs the whole graph. */
export type Lowered = { readonly program: Program } | { readonly uncovered: readonly string[] };

const LOWERINGS: Lowerings = {
  ...COMPOSED,
  ...DENSE,
  ...ELEMENTWISE,
  ...FILLS,
  ...MOVES,
  ...NORM,
  ...POOL,
  ...REDUCTIONS,
};

const CELL_BYTES = 4;
/** Cells of a cache line, at whose start each constant lies. */
const LINE = 16;

/**
 * Lowers the bytes of a saved_model.pb as trace() makes them.
 * @throws {EngineError} E_ENGINE_MODEL, E_ENGINE_OUTPUT if the stages do not name each output once
 */
export function lower(savedModel: Uint8Array, stages?: Stages): Lowered {
  const graph = describe(savedModel);
  const placed = placeGraph(graph, stages);
  if ('uncovered' in placed) return placed;
  const { inputs, outputs, info } = graph;
  const { buffers, constants, operands } = number(placed, inputs.length);
  const peak = { planned: placed.arena * CELL_BYTES, withoutReuse: placed.withoutReuse * CELL_BYTES };
  return {
    program: {
      inputs,
      outputs,
      instructions: placed.steps.map(({ name }, index) => ({ name, operands: operands[index] })),
      stageEnds: placed.stageEnds,
      buffers,
      arena: placed.arena,
      constants,
      info: { ...info, peak },
    },
  };
}

/** The instructions of a graph, and where what they make lies. */
export function placeGraph(
  { inputs, outputs, nodes }: Pick<Description, 'inputs' | 'outputs' | 'nodes'>,
  stages?: Stages,
): Placed | { readonly uncovered: readonly string[] } {
  const order = stageNodes(nodes, outputs.length, stages);
  const walk = new Walk(inputs, outputs, order.flat());
  const stageEnds = order.map((stage) => {
    for (const node of stage) walk.lower(node);
    return walk.draft.steps.length;
  });
  if (walk.uncovered.size > 0) return { uncovered: [...walk.uncovered].sort() };
  const chosen = stages ?? [outputs.map((_, index) => index)];
  const outputStages = outputs.map((_, index) => chosen.findIndex((made) => made.includes(index)));
  return place(walk.draft, stageEnds, outputStages);
}

/** Lowers node after node, in an order in which each comes after what it reads. */
class Walk {
  readonly draft = new Draft();
  readonly uncovered = new Set<string>();
  readonly #values = new Map<string, Value>();
  /** Values that only one node reads, and so on back to the instruction that made them. */
  readonly #sole = new Set<string>();
  readonly #uses = new Map<string, number>();
  readonly #storages: { readonly inputs: readonly Value[]; readonly outputs: readonly Value[] };

  constructor(inputs: Program['inputs'], outputs: Program['outputs'], nodes: readonly NodeMessage[]) {
    const values = (kind: 'input' | 'output', specs: Program['inputs']): Value[] =>
      specs.map(({ shape, dtype }, index) => {
        const storage: Storage = { kind, index, size: sizeOf(shape) };
        return { shape, dtype, storage, offset: 0, strides: denseStrides(shape) };
      });
    this.#storages = { inputs: values('input', inputs), outputs: values('output', outputs) };
    for (const node of nodes)
      for (const ref of isLeaf(node) ? [] : node.input)
        this.#uses.set(refOf(ref), (this.#uses.get(refOf(ref)) ?? 0) + 1);
  }

  lower(message: NodeMessage): void {
    try {
      const made = this.#made(message);
      if (made === null) return;
      made.forEach((value, index) => this.#values.set(`${message.name}:${index}`, value));
    } catch (error) {
      if (!(error instanceof Uncovered)) throw error;
      this.uncovered.add(error.message);
    }
  }

  /** The outputs of a node, or null where something that it reads is not covered. */
  #made(message: NodeMessage): readonly Value[] | null {
    const { name, op } = message;
    if (op === 'Placeholder') return [this.#storages.inputs[Number(name.slice(1))]];
    if (op === 'Const') return [constantOf(this.draft, message)];
    if (!Object.hasOwn(LOWERINGS, op)) throw new Uncovered(`${op}: no kernel`);
    const refs = message.input.map(refOf);
    const inputs = refs.flatMap((ref) => this.#values.get(ref) ?? []);
    if (inputs.length < refs.length) return null;
    const output = /^o(\d+)$/.exec(name);
    if (output !== null) {
      this.#write(inputs[0], this.#storages.outputs[Number(output[1])]);
      return [];
    }
    const sole = refs.map((ref) => this.#sole.has(ref) && this.#uses.get(ref) === 1);
    const result = LOWERINGS[op](new Node(message, this.draft, inputs, sole));
    const made = Array.isArray(result) ? result : [result];
    made.forEach((value, index) => {
      if (value.shape.includes(0)) throw new Uncovered(`${op}: it makes [${value.shape.join()}]`);
      const handedOn = inputs.flatMap((input, at) => (input.storage === value.storage ? [sole[at]] : []));
      if (handedOn.every(Boolean)) this.#sole.add(`${name}:${index}`);
    });
    return made;
  }

  #write(value: Value, output: Value): void {
    if (value.shape.join() !== output.shape.join() || value.dtype !== output.dtype)
      throw new EngineError(
        'E_ENGINE_MODEL',
        `an output is ${value.dtype} [${value.shape.join()}] where ${output.dtype} [${output.shape.join()}] was recorded; compile the function again`,
      );
    this.draft.copy(value, output);
  }
}

/** Numbers the buffers that instructions use, and puts the constants among them side by side. */
function number({ steps, buffers, starts }: Placed, inputs: number) {
  const places: BufferPlace[] = [];
  const known = new Map<string, number>();
  const constants = new Map<Storage, number>();
  let size = 0;
  const constantAt = (storage: Storage): number => {
    const at = constants.get(storage) ?? size;
    if (!constants.has(storage)) size = at + Math.ceil(storage.size / LINE) * LINE;
    constants.set(storage, at);
    return at;
  };
  const placeOf = (buffer: Buffer): BufferPlace => {
    const { storage, offset } = buffer;
    if (storage.kind === 'arena') return { space: ARENA, offset: (starts.get(storage) ?? 0) + offset };
    if (storage.kind === 'constant') return { space: CONSTANTS, offset: constantAt(storage) + offset };
    return { space: INPUTS + (storage.kind === 'input' ? 0 : inputs) + storage.index, offset };
  };
  const numberOf = (buffer: Buffer): number => {
    const found = placeOf(buffer);
    const key = `${found.space},${found.offset}`;
    const at = known.get(key) ?? places.push(found) - 1;
    known.set(key, at);
    return at;
  };
  const operands = steps.map((step) => {
    const { reads, writes } = accessOf(step);
    const numbered = [...step.operands];
    for (const { operand } of [...reads, ...writes]) numbered[operand] = numberOf(buffers[step.operands[operand]]);
    return numbered;
  });
  const cells = new Int32Array(size);
  for (const [storage, at] of constants) if (storage.kind === 'constant') cells.set(storage.cells, at);
  return { buffers: places, constants: cells, operands };
}

function refOf(ref: string): string {
  return ref.includes(':') ? ref : `${ref}:0`;
}
