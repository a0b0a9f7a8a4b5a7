/**
 * A model is data: a config that this file turns into a table of parameters, initial weights and a forward pass. Another
 * kind of network is another member of ModelConfig and another case below; nothing else knows which there are.
 */
import type { Engine, Tensor } from '@lockstep/engine';

import { DiffusionError } from './errors.js';
import { initialise, parameterCount, tableOf } from './parameters.js';
import type { ParameterTable } from './parameters.js';
import { unetForward } from './unet.js';
import { UNET_ZERO_LAYER, unetLayers } from './unet-layers.js';
import type { UNetConfig } from './unet-layers.js';

export type ModelConfig = UNetConfig;

/** How many classes the labels of this network have: 0 for one that knows no labels. */
export function classCount(config: ModelConfig): number {
  return config.classes;
}

/** Shape of one image of the model: [rows, columns, channels]. */
export function imageShape(config: ModelConfig): readonly [number, number, number] {
  return [config.imageSize, config.imageSize, config.channels];
}

/**
 * Where each tensor lies in the flat array.
 *
 * @throws E_MODEL_CONFIG if the config cannot be built
 */
export function parameterTable(config: ModelConfig): ParameterTable {
  return tableOf(layersOf(config));
}

/**
 * Weights to start from, a function of config and seed; see parameters.ts. The last convolution starts at zero.
 *
 * @throws E_MODEL_CONFIG, E_RANDOM_KEY
 */
export function initialParameters(config: ModelConfig, seed: number): Float32Array {
  return initialise(layersOf(config), UNET_ZERO_LAYER, seed);
}

/**
 * Cuts the flat [P] tensor into the table's tensors, inside a recorded graph: one op, and the weights enter as one input.
 *
 * @throws E_PARAMETERS if `flat` is not [P]
 */
export function unflatten(engine: Engine, table: ParameterTable, flat: Tensor): Tensor[] {
  const P = parameterCount(table);
  if (flat.rank !== 1 || flat.size !== P) {
    throw new DiffusionError(
      'E_PARAMETERS',
      `parameters have shape [${flat.shape.join(', ')}], the model needs [${P}]`,
    );
  }
  const sizes = table.map(({ size }) => size);
  return engine.tf.split(flat, sizes).map((part, i) => engine.tf.reshape(part, [...table[i].shape]));
}

/**
 * Predicts the noise in x, or what else the network is trained to predict.
 *
 * @param parameters the table's tensors, in its order
 * @param x [n, rows, columns, channels]
 * @param t [n], what the network sees of the timestep
 * @param labels [n] int32, 0 .. classes (which stands for none), of a conditional network; undefined for one without classes
 * @returns eps, or what else it is trained to predict, in x's shape
 * @throws E_PARAMETERS if there are more or fewer tensors than the table has
 */
export function forward(
  engine: Engine,
  config: ModelConfig,
  parameters: readonly Tensor[],
  x: Tensor,
  t: Tensor,
  labels?: Tensor,
): Tensor {
  const table = parameterTable(config);
  if (parameters.length !== table.length) {
    throw new DiffusionError('E_PARAMETERS', `${parameters.length} parameter tensors, the model has ${table.length}`);
  }
  if ((labels === undefined) !== (classCount(config) === 0)) {
    throw new TypeError(`a network of ${classCount(config)} classes ${labels ? 'takes no labels' : 'needs labels'}`);
  }
  const byName = new Map(table.map(({ name }, i) => [name, parameters[i]]));
  const parameter = (name: string): Tensor => {
    const found = byName.get(name);
    if (found === undefined) {
      throw new TypeError(`the forward pass asks for ${name}, which the table does not list`);
    }
    return found;
  };
  return unetForward(engine, config, parameter, x, t, labels);
}

function layersOf(config: ModelConfig) {
  return unetLayers(config);
}
