/** What is added to the result of a product or a convolution goes into its instruction, where nobody else reads the result. */
import type { Node } from './node.js';
import { isDense, type Value } from './values.js';
import type { Step } from './draft.js';

/** Where the bias is among the operands, and where the number of its cells. */
const BIAS: Readonly<Record<string, { readonly bias: number; readonly size: number }>> = {
  matmul: { bias: 2, size: 6 },
  conv2d: { bias: 2, size: 18 },
  conv2dInputGradient: { bias: 2, size: 7 },
  conv3x3: { bias: 2, size: 9 },
};
const RESIDUAL = 3;

/** The instruction that made input `index`, if it can still be changed: all of its result is read here, and nowhere else. */
function maker(node: Node, index: number, added: Value): Step | null {
  const { draft } = node;
  const value = node.inputs[index];
  const writers = draft.writers(value.storage);
  if (writers.length !== 1 || !node.sole[index] || !node.isWhole(value)) return null;
  if (value.dtype !== 'float32' || added.dtype !== 'float32') return null;
  // What is added must be there when the instruction runs.
  const known = added.storage.kind === 'input' || added.storage.kind === 'constant';
  const before = draft.writers(added.storage).every((position) => position < writers[0]);
  return known || before ? draft.steps[writers[0]] : null;
}

/** Input `index` with a vector over its last axis added, or null where that takes an instruction. */
export function withBias(node: Node, index: number, bias: Value): Value | null {
  const value = node.inputs[index];
  const step = maker(node, index, bias);
  if (step === null || !Object.hasOwn(BIAS, step.name)) return null;
  const { bias: place, size } = BIAS[step.name];
  const channels = value.shape.at(-1) ?? 0;
  const fits =
    step.operands[place] === -1 &&
    (step.name !== 'conv3x3' || step.operands[RESIDUAL] === -1) &&
    step.operands[size] === channels &&
    bias.shape.at(-1) === channels &&
    bias.shape.slice(0, -1).every((one) => one === 1) &&
    bias.shape.length <= value.shape.length &&
    isDense(bias);
  if (!fits) return null;
  step.operands[place] = node.draft.at(bias);
  return value;
}

/** Input `index`, a convolution, with another of its shape added. */
export function withResidual(node: Node, index: number, added: Value): Value | null {
  const value = node.inputs[index];
  const step = maker(node, index, added);
  if (step?.name !== 'conv3x3' || step.operands[RESIDUAL] !== -1) return null;
  if (value.shape.join() !== added.shape.join() || !isDense(added)) return null;
  step.operands[RESIDUAL] = node.draft.at(added);
  return value;
}
