/**
 * tfjs' gradients of Sum and Mean multiply dy by a tensor of ones that is made on the host. Recorded, that is a constant
 * as large as the activation (tens of megabytes for a training step), and eager it is a needless upload. The gradient is
 * only dy, spread over the axes that were summed: broadcastTo says so.
 */
import type { Tensor, TF } from '../device/binding.js';

/** Replaces the two gradients in tfjs' registry, for the whole thread. */
export function registerReductionGradients(tf: TF): void {
  const spread = (dy: Tensor, x: Tensor, axis: unknown, mean: boolean): Tensor => {
    // An op without an axis sums over all of them.
    const axes = isAxis(axis) ? tf.util.parseAxisParam(axis, x.shape) : x.shape.map((_, index) => index);
    const kept = x.shape.map((size, index) => (axes.includes(index) ? 1 : size));
    const count = axes.reduce((product, index) => product * x.shape[index], 1);
    const shaped = tf.reshape(dy, kept);
    return tf.broadcastTo(mean ? tf.mul(shaped, 1 / count) : shaped, x.shape);
  };
  for (const kernelName of ['Sum', 'Mean']) {
    tf.unregisterGradient(kernelName);
    tf.registerGradient({
      kernelName,
      inputsToSave: ['x'],
      gradFunc: (dy, [x], attributes) => {
        if (Array.isArray(dy)) throw new TypeError(`${kernelName} has one output`);
        return { x: () => spread(dy, x, attributes['axis'], kernelName === 'Mean') };
      },
    });
  }
}

function isAxis(value: unknown): value is number | number[] {
  return typeof value === 'number' || (Array.isArray(value) && value.every((axis) => typeof axis === 'number'));
}
