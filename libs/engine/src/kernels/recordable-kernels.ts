/**
 * Ops of tfjs that a recorded graph could not hold as tfjs-node runs them, run so that it can:
 *
 *   GatherV2     tfjs reads the indices on the host to check them; TensorFlow checks them itself, when the graph runs
 *   ExpandDims   tfjs leaves the op's types out, which TensorFlow needs in a graph
 *   comparisons  have no gradient in tfjs, so that tf.where(tf.greater(x, 0), ...) has none either; theirs is zero everywhere
 */
import { INT, int, toOpAttributes, type Attribute, type Attributes } from './attributes.js';
import { DataType, type Backend, type Tensor, type TensorInfo, type TF } from '../device/binding.js';

/** Kernels whose outputs are steps of their inputs: constant but at the steps. */
const STEPS = ['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual'];

type Kernel = (
  inputs: Readonly<Record<string, TensorInfo | undefined>>,
  attributes: Readonly<Record<string, unknown>>,
) => Tensor;

/** Replaces kernels and adds gradients in tfjs' registry, for the whole thread. */
export function registerRecordableKernels(tf: TF, backend: Backend): void {
  const replace = (kernelName: string, kernel: Kernel): void => {
    tf.unregisterKernel(kernelName, 'tensorflow');
    tf.registerKernel({
      kernelName,
      backendName: 'tensorflow',
      kernelFunc: ({ inputs, attrs }) => kernel(inputs, attrs ?? {}),
    });
  };
  /** Runs an op whose last input is a number of the call's attributes. */
  const run = (op: string, attributes: Attributes, inputs: TensorInfo[], last: unknown): Tensor => {
    const scalar = tf.scalar(Number(last), 'int32');
    const result = backend.executeSingleOutput(op, toOpAttributes(attributes), [...inputs, scalar]);
    scalar.dispose();
    return result;
  };
  replace('GatherV2', ({ x, indices }, { axis, batchDims }) =>
    run(
      'GatherV2',
      { batch_dims: int(Number(batchDims)), Tparams: typeOf(x), Tindices: typeOf(indices), Taxis: INT },
      given(x, indices),
      axis,
    ),
  );
  replace('ExpandDims', ({ input }, { dim }) => run('ExpandDims', { T: typeOf(input), Tdim: INT }, given(input), dim));
  for (const kernelName of STEPS)
    tf.registerGradient({
      kernelName,
      inputsToSave: ['a', 'b'],
      gradFunc: (_dy, [a, b]) => ({ a: () => tf.fill(a.shape, 0), b: () => tf.fill(b.shape, 0) }),
    });
}

function given(...inputs: (TensorInfo | undefined)[]): TensorInfo[] {
  return inputs.filter((input) => input !== undefined);
}

function typeOf(tensor: TensorInfo | undefined): Attribute {
  const dtype = tensor?.dtype;
  if (dtype === undefined || !(dtype in DataType) || dtype === 'string')
    throw new TypeError(`an op cannot take a tensor of ${dtype ?? 'nothing'}`);
  return { kind: 'type', value: dtype === 'complex64' ? 'complex64' : dtype };
}
