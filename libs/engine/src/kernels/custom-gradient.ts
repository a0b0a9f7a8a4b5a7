/** A typed face for tf.customGrad, whose own type mixes inputs and the save function in one list. */
import type { Tensor } from '../device/binding.js';
import type { Engine } from '../device/load.js';

export type Forward = { readonly value: Tensor; readonly saved: readonly Tensor[]; readonly backward: Backward };
/** Gradients of all inputs, in order. `saved` holds the tensors that the forward pass asked to keep. */
export type Backward = (dy: Tensor, saved: Tensor[]) => Tensor[];

/**
 * Runs `forward` on `inputs` as one differentiable op. Intermediate tensors are freed after the forward pass but for
 * `saved`, which live until the gradient is taken; `backward` must use those, not its closure.
 */
export function customGradient(engine: Engine, inputs: Tensor[], forward: (inputs: Tensor[]) => Forward): Tensor {
  const operation = engine.tf.customGrad<Tensor>((...received) => {
    const save = received.find((item) => typeof item === 'function');
    const tensors = received.filter((item) => typeof item !== 'function');
    const { value, saved, backward } = forward(tensors);
    save?.([...saved]);
    return { value, gradFunc: backward };
  });
  return operation(...inputs);
}
