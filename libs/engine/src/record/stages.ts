/**
 * A graph run in stages: some outputs are made, and can be used, before the rest is computed. What later stages need of earlier
 * ones stays in TensorFlow's memory and is handed on without a copy; nothing is computed twice but constants.
 *
 * A tensor that is handed on is fetched by an Identity of its own, h<ref>, which is in the graph from the beginning. TensorFlow's
 * optimiser may put ops together whose results nobody else uses, and does not count a fetch as a use; a node it does. So each
 * stage computes what the whole would.
 */
import { EngineError } from '../errors.js';
import type { NodeMessage } from './saved-model-schema.js';

/** Which outputs each stage makes, by number; each output is in one stage. */
export type Stages = readonly (readonly number[])[];

/** One call of the session. Names are as TensorFlow has them: "n7:1" is the second output of node n7. */
export type StagePlan = {
  /** Tensors that the call is given: inputs, and what stages before it made. */
  readonly feeds: readonly string[];
  /** Tensors that it makes for later stages. */
  readonly handedOn: readonly string[];
  /** The numbers of its outputs. */
  readonly outputs: readonly number[];
};

/** Nodes with a value of their own, which every call has anew. */
const LEAVES: readonly string[] = ['Placeholder', 'Const'];

/** Whether a node has no inputs, and then no list of them when it was read from bytes. */
export function isLeaf({ op }: NodeMessage): boolean {
  return LEAVES.includes(op);
}

const tensorName = (ref: string): string => (ref.includes(':') ? ref : `${ref}:0`);
const nodeName = (ref: string): string => ref.split(':')[0];

/** The node by which a tensor is fetched that is handed on. */
export function handOverName(tensor: string): string {
  return `h${tensor.replace(':', '_')}`;
}

/**
 * Cuts a graph of `outputs` outputs, named o0, o1 and so on; all of them at once without `stages`.
 * @throws {EngineError} E_ENGINE_OUTPUT if the stages do not name each output once
 */
export function planStages(nodes: readonly NodeMessage[], outputs: number, stages?: Stages): StagePlan[] {
  const all = Array.from({ length: outputs }, (_, index) => index);
  const chosen = stages ?? [all];
  if ([...chosen.flat()].sort((a, b) => a - b).join() !== all.join())
    throw new EngineError(
      'E_ENGINE_OUTPUT',
      `the stages name the outputs ${chosen.flat().join(', ')}; name each of 0 to ${outputs - 1} once`,
    );
  const byName = new Map(nodes.map((node) => [node.name, node]));
  /** The stage that makes a node. */
  const stageOf = new Map<string, number>();
  const feeds = chosen.map(() => new Set<string>());
  const handedOn = chosen.map(() => new Set<string>());

  const visit = (ref: string, stage: number): void => {
    const node = byName.get(nodeName(ref));
    if (node === undefined) throw new EngineError('E_ENGINE_MODEL', `the graph has no node ${ref}; compile it again`);
    if (node.op === 'Placeholder') feeds[stage].add(tensorName(ref));
    if (isLeaf(node)) return;
    const maker = stageOf.get(node.name);
    if (maker === stage) return;
    if (maker !== undefined) {
      feeds[stage].add(tensorName(ref));
      handedOn[maker].add(tensorName(ref));
      return;
    }
    stageOf.set(node.name, stage);
    for (const input of node.input) visit(input, stage);
  };
  chosen.forEach((made, stage) => {
    for (const output of made) visit(`o${output}`, stage);
  });
  return chosen.map((made, stage) => ({
    feeds: [...feeds[stage]],
    handedOn: [...handedOn[stage]],
    outputs: made,
  }));
}

/** The nodes that each stage computes, in the graph's order, without those of stages before it. Throws as planStages. */
export function stageNodes(nodes: readonly NodeMessage[], outputs: number, stages?: Stages): NodeMessage[][] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const computed = new Set<NodeMessage>();
  return planStages(nodes, outputs, stages).map(({ outputs: made }) => {
    const needed = new Set<NodeMessage>();
    const visit = (name: string): void => {
      const node = byName.get(nodeName(name));
      if (node === undefined || computed.has(node)) return;
      computed.add(node);
      needed.add(node);
      if (!isLeaf(node)) for (const input of node.input) visit(input);
    };
    for (const output of made) visit(`o${output}`);
    return nodes.filter((node) => needed.has(node));
  });
}
