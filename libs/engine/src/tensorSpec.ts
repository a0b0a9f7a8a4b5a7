/** What a recorded function's inputs and outputs are: shape and type, with checks of the arrays that stand for them. */
import { DataType, type TypedArray } from './binding.js';
import { EngineError } from './errors.js';

/** `data` is an example for recording, where values matter (a division, an index); zeros are used without it. */
export type TensorSpec = {
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32';
  readonly data?: TypedArray;
};

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function dataTypeOf(spec: TensorSpec): number {
  return DataType[spec.dtype];
}

/** Throws E_ENGINE_INPUT unless `inputs` has one array a spec, of its type and length. */
export function checkInputs(specs: readonly TensorSpec[], inputs: readonly TypedArray[]): void {
  if (inputs.length !== specs.length)
    throw new EngineError(
      'E_ENGINE_INPUT',
      `${inputs.length} inputs were given, the function was recorded with ${specs.length}`,
    );
  specs.forEach((spec, index) => {
    const data = inputs[index];
    const wanted = spec.dtype === 'float32' ? Float32Array : Int32Array;
    if (!(data instanceof wanted))
      throw new EngineError(
        'E_ENGINE_INPUT',
        `input ${index} must be a ${wanted.name} for ${spec.dtype} [${spec.shape.join()}]`,
      );
    if (data.length !== sizeOf(spec.shape))
      throw new EngineError(
        'E_ENGINE_INPUT',
        `input ${index} has ${data.length} elements, [${spec.shape.join()}] has ${sizeOf(spec.shape)}; record the function anew for another shape`,
      );
  });
}

/** The example of a spec, or zeros. */
export function exampleOf(spec: TensorSpec): TypedArray {
  if (spec.data !== undefined) return spec.data;
  return spec.dtype === 'float32' ? new Float32Array(sizeOf(spec.shape)) : new Int32Array(sizeOf(spec.shape));
}
