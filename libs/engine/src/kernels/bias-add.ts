/** x + bias over the last axis, as TensorFlow's own pair of ops: the gradient is one pass, where tfjs' add takes three. */
import { FLOAT, string } from './attributes.js';
import type { Tensor } from '../device/binding.js';
import { customGradient } from './custom-gradient.js';
import type { Engine } from '../device/load.js';

const ATTRIBUTES = { T: FLOAT, data_format: string('NHWC') };

/** Adds `bias` [C] to `x` [..., C], at least two axes, float32. */
export function biasAdd(engine: Engine, x: Tensor, bias: Tensor): Tensor {
  return customGradient(engine, [x, bias], (inputs) => ({
    value: engine.kernel('BiasAdd', ATTRIBUTES, inputs),
    saved: [],
    backward: (dy) => [dy, engine.kernel('BiasAddGrad', ATTRIBUTES, [dy])],
  }));
}
