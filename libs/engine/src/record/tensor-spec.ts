/** What a compiled function's inputs and outputs are: shape and type, with checks of the arrays that stand for them. */
import { DataType, type TypedArray } from '../device/binding.js';
import { EngineError } from '../errors.js';

/** `data` is an example for recording, where values matter (a division, an index); zeros are used without it. */
export type TensorSpec = {
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32';
  readonly data?: TypedArray;
};

/** Where a run writes its outputs, in order; null or nothing: a fresh array. */
export type Targets = readonly (TypedArray | null)[];

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function shapesKey(specs: readonly TensorSpec[]): string {
  return specs.map(({ shape, dtype }) => `${dtype}[${shape.join()}]`).join(' ');
}

export function dataTypeOf(spec: TensorSpec): number {
  return DataType[spec.dtype];
}

/** Throws E_ENGINE_INPUT unless `inputs` has one array a spec, of its type and length. */
export function checkInputs(specs: readonly TensorSpec[], inputs: readonly TypedArray[]): void {
  if (inputs.length !== specs.length)
    throw new EngineError('E_ENGINE_INPUT', `${inputs.length} inputs were given, the function has ${specs.length}`);
  specs.forEach((spec, index) => {
    const data = inputs[index];
    const wanted = arrayOf(spec);
    if (!(data instanceof wanted))
      throw new EngineError(
        'E_ENGINE_INPUT',
        `input ${index} must be a ${wanted.name} for ${spec.dtype} [${spec.shape.join()}]`,
      );
    if (data.length !== sizeOf(spec.shape))
      throw new EngineError(
        'E_ENGINE_INPUT',
        `input ${index} has ${data.length} elements, [${spec.shape.join()}] has ${sizeOf(spec.shape)}; for another shape hand in { shape, data }`,
      );
  });
}

/** Throws E_ENGINE_OUTPUT unless each target has its output's type and length. */
export function checkTargets(specs: readonly TensorSpec[], targets: Targets = []): void {
  if (targets.length > specs.length)
    throw new EngineError('E_ENGINE_OUTPUT', `${targets.length} targets were given for ${specs.length} outputs`);
  targets.forEach((target, index) => {
    const spec = specs[index];
    if (target === null || (target instanceof arrayOf(spec) && target.length === sizeOf(spec.shape))) return;
    throw new EngineError(
      'E_ENGINE_OUTPUT',
      `the target of output ${index} must be a ${arrayOf(spec).name} of ${sizeOf(spec.shape)} elements, for [${spec.shape.join()}]`,
    );
  });
}

function arrayOf({ dtype }: TensorSpec): Float32ArrayConstructor | Int32ArrayConstructor {
  return dtype === 'float32' ? Float32Array : Int32Array;
}

/** The example of a spec, or zeros. */
export function exampleOf(spec: TensorSpec): TypedArray {
  return spec.data ?? arrayFor(spec);
}

/** A fresh array for a tensor: zeros. */
export function arrayFor(spec: TensorSpec): TypedArray {
  return new (arrayOf(spec))(sizeOf(spec.shape));
}
