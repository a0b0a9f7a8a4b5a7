/**
 * A function for use without Lockstep: a SavedModel that TensorFlow loads as it is, in Python by tf.saved_model.load, in C, Go, Java
 * or TensorFlow Serving.
 */
import { EngineError } from '../errors.js';
import type { Engine } from '../device/load.js';
import type { TensorSpec } from './tensor-spec.js';
import { trace, type TensorFunction } from './trace.js';

/**
 * The bytes of a saved_model.pb. It is made of TensorFlow's own ops: `fn` gets an engine without our kernels. What fn makes on the
 * host (weights) becomes constants. Shapes are fixed.
 * @param inputs by the names that they get in the signature "serving_default", in the order in which fn takes them
 * @param outputs names, in the order in which fn gives them
 * @throws {EngineError} as compile
 */
export function exportModel(
  engine: Engine,
  fn: (plain: Engine) => TensorFunction,
  inputs: Readonly<Record<string, TensorSpec>>,
  outputs: readonly string[],
): Uint8Array {
  const plain: Engine = { ...engine, native: false };
  const names = { inputs: Object.keys(inputs), outputs };
  const counted: TensorFunction = (tensors) => {
    const results = fn(plain)(tensors);
    if (results.length === outputs.length) return results;
    throw new EngineError('E_ENGINE_OUTPUT', `${results.length} outputs, ${outputs.length} names; give each a name`);
  };
  return trace(plain, counted, Object.values(inputs), { names }).savedModel;
}
