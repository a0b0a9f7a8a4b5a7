/** tfjs' types ask for the rank that its shapes only show at run time. */
import type { Tensor, TF } from '../device/binding.js';

type Tensor4D = ReturnType<TF['tensor4d']>;

/** `tensor` as one of four dimensions. Throws a TypeError where it has others: a bug of the caller. */
export function rank4(tensor: Tensor): Tensor4D {
  const isRank4 = (candidate: Tensor): candidate is Tensor4D => candidate.rank === 4;
  if (isRank4(tensor)) return tensor;
  throw new TypeError(`a tensor of shape [${tensor.shape.join(', ')}] where four dimensions were meant`);
}
