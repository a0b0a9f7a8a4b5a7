/** The reference that compiled functions are compared with: the same function, op by op. */
import type { TypedArray } from '../device/binding.js';
import { EngineError } from '../errors.js';
import type { Engine } from '../device/load.js';
import { checkInputs, type TensorSpec } from '../record/tensor-spec.js';
import type { TensorFunction } from '../record/trace.js';

/**
 * Runs `fn` eagerly on `inputs`, whose shapes and types `specs` gives, and returns its outputs as fresh arrays, as
 * Compiled.run does. Leaves no tensor behind, also where fn throws.
 * @throws {EngineError} E_ENGINE_INPUT, E_ENGINE_OUTPUT
 */
export function runEager(
  engine: Engine,
  fn: TensorFunction,
  specs: readonly TensorSpec[],
  inputs: readonly TypedArray[],
): TypedArray[] {
  checkInputs(specs, inputs);
  const { tf } = engine;
  // tf.tidy returns tensors or nothing, so the arrays leave it by the side.
  const arrays: TypedArray[] = [];
  tf.tidy(() => {
    const tensors = specs.map((spec, index) => tf.tensor(inputs[index], [...spec.shape], spec.dtype));
    for (const [index, output] of fn(tensors).entries()) {
      const data = output.dataSync();
      if (!(data instanceof Float32Array || data instanceof Int32Array))
        throw new EngineError('E_ENGINE_OUTPUT', `output ${index} is ${output.dtype}; cast it to float32 or int32`);
      arrays.push(inputs.includes(data) ? data.slice() : data);
    }
  });
  return arrays;
}
