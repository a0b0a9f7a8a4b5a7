/** ReLU with its gradient in one op: tfjs' own walks the activation four times. */
import { FLOAT } from './attributes.js';
import type { Tensor } from '../device/binding.js';
import { customGradient } from './custom-gradient.js';
import type { Engine } from '../device/load.js';

/** max(x, 0) of a float32 tensor of any shape; the derivative at 0 is 0, as in PyTorch. */
export function relu(engine: Engine, x: Tensor): Tensor {
  return customGradient(engine, [x], ([input]) => {
    const value = engine.kernel('Relu', { T: FLOAT }, [input]);
    return {
      value,
      saved: [value],
      backward: (dy, [y]) => [engine.kernel('ReluGrad', { T: FLOAT }, [dy, y])],
    };
  });
}
