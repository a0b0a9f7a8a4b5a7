/** Group normalisation. */
import type { Lowering, Lowerings, Node } from './node.js';
import { bitsOf } from './node.js';
import type { Value } from './values.js';

/** n pixels channels groups, epsilon bits, silu. */
function numbers(node: Node, x: Value): number[] {
  const [n, h, w, channels] = node.rank(x, 4);
  return [n, h * w, channels, node.int('groups'), bitsOf(node.float('epsilon')), Number(node.bool('silu'))];
}

const groupNorm: Lowering = (node) => {
  const { draft } = node;
  const [x] = node.inputs;
  const given = node.inputs.map((value) => draft.whole(value));
  const [n, , , channels] = node.rank(x, 4);
  const made = [draft.fresh(x.shape, 'float32'), draft.fresh([n, 3, channels], 'float32')];
  draft.emit('groupNorm', [...given, ...made.map((value) => draft.at(value)), ...numbers(node, x)]);
  return made;
};

const gradient: Lowering = (node) => {
  const { draft } = node;
  const [, x] = node.inputs;
  const given = node.inputs.map((value) => draft.whole(value));
  const [n, , , channels] = node.rank(x, 4);
  const made = [x.shape, [n, channels], [channels], [channels]].map((shape) => draft.fresh(shape, 'float32'));
  draft.emit('groupNormGradient', [...given, ...made.map((value) => draft.at(value)), ...numbers(node, x)]);
  return made;
};

export const NORM: Lowerings = { LockstepGroupNorm: groupNorm, LockstepGroupNormGradient: gradient };
