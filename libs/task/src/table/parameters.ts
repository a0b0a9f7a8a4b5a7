/**
 * Parameters of a network: one flat Float32Array and the table that says which tensor lies where.
 *
 * Layouts: convolution kernels [height, width, in, out] (HWIO), transposed convolutions [height, width, out, in], linear
 * weights [in, out], embeddings [rows, width], vectors [channels], all row-major.
 * Names are those PyTorch would give: `down.0.conv1.weight`.
 */
import type { ParameterTable, TensorSpan } from '@lockstep/base';
import { TaskError } from '../errors.js';
import { fillNormal, fillUniform, STREAMS } from '../random/random.js';
import type { RandomKey, Stream } from '../random/random.js';

/** The axes in words, for the metadata of files that are read without Lockstep. */
export const TENSOR_LAYOUT =
  'convolutions [height, width, in, out], transposed ones (*.up.weight) [height, width, out, in], linear [in, out], ' +
  'embeddings [rows, width]; C order';

export type { ParameterTable, TensorSpan } from '@lockstep/base';

/** One layer with weights, as a network's structure lists them. */
export type Layer =
  | {
      readonly kind: 'conv';
      readonly name: string;
      readonly kernel: number;
      readonly from: number;
      readonly to: number;
    }
  /** Stride and kernel are equal, so that no two inputs meet in an output. */
  | {
      readonly kind: 'convTranspose';
      readonly name: string;
      readonly kernel: number;
      readonly from: number;
      readonly to: number;
    }
  | { readonly kind: 'linear'; readonly name: string; readonly from: number; readonly to: number }
  /** A linear layer without bias. */
  | { readonly kind: 'matrix'; readonly name: string; readonly from: number; readonly to: number }
  | { readonly kind: 'norm'; readonly name: string; readonly channels: number }
  /** A table from which rows are taken; it has no bias. */
  | { readonly kind: 'embedding'; readonly name: string; readonly rows: number; readonly width: number };

/**
 * Number of inputs each output of a convolution or linear layer sums over; of a transposed convolution what PyTorch takes
 * for it, the second extent of its weight times the kernel's size. 1 for others.
 */
function fanIn(layer: Layer): number {
  switch (layer.kind) {
    case 'conv':
      return layer.kernel * layer.kernel * layer.from;
    case 'convTranspose':
      return layer.kernel * layer.kernel * layer.to;
    case 'linear':
    case 'matrix':
      return layer.from;
    case 'norm':
    case 'embedding':
      return 1;
    default:
      return layer satisfies never;
  }
}

function shapesOf(layer: Layer): { weight: number[]; bias?: number[] } {
  switch (layer.kind) {
    case 'conv':
      return { weight: [layer.kernel, layer.kernel, layer.from, layer.to], bias: [layer.to] };
    case 'convTranspose':
      return { weight: [layer.kernel, layer.kernel, layer.to, layer.from], bias: [layer.to] };
    case 'linear':
      return { weight: [layer.from, layer.to], bias: [layer.to] };
    case 'matrix':
      return { weight: [layer.from, layer.to] };
    case 'norm':
      return { weight: [layer.channels], bias: [layer.channels] };
    case 'embedding':
      return { weight: [layer.rows, layer.width] };
    default:
      return layer satisfies never;
  }
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** The table of a list of layers: each layer's weight, then its bias if it has one. */
export function tableOf(layers: readonly Layer[]): ParameterTable {
  const table: TensorSpan[] = [];
  let offset = 0;
  for (const layer of layers) {
    for (const [part, shape] of Object.entries(shapesOf(layer))) {
      const size = sizeOf(shape);
      table.push({ name: `${layer.name}.${part}`, shape, offset, size });
      offset += size;
    }
  }
  return table;
}

/** P: the length of the flat array. */
export function parameterCount(table: ParameterTable): number {
  return table.reduce((sum, { size }) => sum + size, 0);
}

/**
 * Weights to start from, as PyTorch initialises the same layers: convolution and linear weights and biases uniform on
 * (-1, 1) / sqrt(fan-in), norms 1 and 0, embeddings standard normal.
 *
 * @param zeroLayer the layer whose weight and bias start at zero; null: none
 * @param seed 0..2^53-1; each tensor has its own random position, so the values do not depend on the order of filling
 * @throws E_RANDOM_KEY for a bad seed
 */
export function initialise(
  layers: readonly Layer[],
  zeroLayer: string | null,
  seed: number,
  stream: Stream = STREAMS.parameters,
): Float32Array {
  const flat = new Float32Array(parameterCount(tableOf(layers)));
  let offset = 0;
  layers.forEach((layer, l) => {
    Object.values(shapesOf(layer)).forEach((shape, i) => {
      const size = sizeOf(shape);
      const part = flat.subarray(offset, offset + size);
      offset += size;
      fillInitial(part, layer, i, zeroLayer, { seed, stream, step: 0, position: 2 * l + i });
    });
  });
  return flat;
}

/** Fills part 0, the weight, or 1, the bias, of a layer. */
function fillInitial(values: Float32Array, layer: Layer, part: number, zeroLayer: string | null, key: RandomKey): void {
  if (layer.kind === 'norm') {
    values.fill(part === 0 ? 1 : 0);
  } else if (layer.kind === 'embedding') {
    fillNormal(values, key);
  } else if (layer.name !== zeroLayer) {
    fillUniform(values, 1 / Math.sqrt(fanIn(layer)), key);
  }
}

/**
 * A view of one tensor of the flat array.
 *
 * @throws E_PARAMETERS if the table has no such tensor or the array is not P long
 */
export function tensorOf(table: ParameterTable, flat: Float32Array, name: string): Float32Array {
  const span = table.find((entry) => entry.name === name);
  const P = parameterCount(table);
  if (span === undefined || flat.length !== P) {
    throw new TaskError(
      'E_PARAMETERS',
      `no tensor ${name} in ${flat.length} parameters: the table has ${table.length} tensors, ${P} parameters`,
    );
  }
  return flat.subarray(span.offset, span.offset + span.size);
}
