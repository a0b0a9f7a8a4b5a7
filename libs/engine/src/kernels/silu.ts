/** SiLU, also called swish: z = x sigmoid(x) (Elfwing et al. 2017), with its gradient in one fused op. */
import { FLOAT } from './attributes.js';
import type { Tensor } from '../device/binding.js';
import { customGradient } from './custom-gradient.js';
import type { Engine } from '../device/load.js';

/**
 * dz/dx, times dz: with s = sigmoid(x), d(x s)/dx = s + x s (1 - s), and TensorFlow's SigmoidGrad(s, x) is x s (1 - s).
 */
export function siluGradient(engine: Engine, dz: Tensor, x: Tensor, s: Tensor): Tensor {
  return engine.tf.mul(dz, engine.tf.add(engine.kernel('SigmoidGrad', { T: FLOAT }, [s, x]), s));
}

/** SiLU of a float32 tensor of any shape. */
export function silu(engine: Engine, x: Tensor): Tensor {
  const { tf } = engine;
  return customGradient(engine, [x], ([input]) => {
    const s = tf.sigmoid(input);
    return {
      value: tf.mul(input, s),
      saved: [input, s],
      backward: (dz, [x0, s0]) => [siluGradient(engine, dz, x0, s0)],
    };
  });
}
