/**
 * A model is data: a config that this file turns into a table of parameters, initial weights and a forward pass. Another
 * kind of network is another member of ModelConfig and another case below; nothing else knows which there are.
 */
import type { Engine, Tensor } from '@lockstep/engine';

import { isSameShape, shownShape } from '../data/image-shape.js';
import type { ImageShape } from '../data/image-shape.js';
import { DiffusionError } from '../errors.js';
import { initialise, parameterCount, tableOf, type Layer, type ParameterTable } from '@lockstep/task';
import { seedEarlyFrom, seedForward, seedLayers } from './seed-unet.js';
import type { SeedUNetConfig } from './seed-unet.js';
import { unetForward } from './unet.js';
import { UNET_ZERO_LAYER, unetEarlyFrom, unetFor, unetLayers } from './unet-layers.js';
import type { UNetConfig } from './unet-layers.js';

export type ModelConfig = UNetConfig | SeedUNetConfig;

/** How many classes the labels of this network have: 0 for one that knows no labels. */
export function classCount(config: ModelConfig): number {
  return config.kind === 'unet' ? config.classes : 0;
}

/** What a data set's labels must be below to train this network; null: it does not look at them. */
export function labelsOf(config: ModelConfig): number | null {
  return classCount(config) > 0 ? classCount(config) : null;
}

/** Of the images that the network takes and gives: they are square. */
export function imageShapeOf({ imageSize, channels }: ModelConfig): ImageShape {
  return { rows: imageSize, columns: imageSize, channels };
}

/** Sides of the images that a network is trained on: below there is little to draw, above a step takes minutes on these cores. */
const [LEAST_SIDE, MOST_SIDE] = [16, 64];

/**
 * A preset's network for images of this shape.
 *
 * @throws E_DATA_SIZE if it cannot be made for them
 */
export function modelFor(preset: ModelConfig, shape: ImageShape): ModelConfig {
  if (isSameShape(imageShapeOf(preset), shape)) return preset;
  const { rows: imageSize, columns, channels } = shape;
  if (columns !== imageSize || imageSize < LEAST_SIDE || imageSize > MOST_SIDE) {
    throw new DiffusionError(
      'E_DATA_SIZE',
      `the images are ${shownShape(shape)}: a network here draws square ones, of ${LEAST_SIDE} to ${MOST_SIDE} pixels a side; ` +
        'cut or resize them beforehand (nothing is resized here)',
    );
  }
  switch (preset.kind) {
    case 'unet':
      return unetFor(preset, imageSize, channels);
    case 'seed-unet':
      return { ...preset, imageSize, channels };
    default:
      return preset satisfies never;
  }
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
 * The first tensor of the early bucket. Backpropagation reaches the layers next to the image last: at the size of the image they
 * take long, and they have few of the parameters. So most of a gradient is there, and can be summed over the workers, while those
 * are still being computed (as PyTorch DDP's buckets: Li et al., "PyTorch Distributed", VLDB 2020, section 3.2.3). The table has
 * the late ones at its beginning.
 *
 * @returns 1..tensors-1
 * @throws E_MODEL_CONFIG if the config cannot be built
 */
export function earlyFrom(config: ModelConfig): number {
  const table = parameterTable(config);
  switch (config.kind) {
    case 'unet':
      return unetEarlyFrom(table);
    case 'seed-unet':
      return seedEarlyFrom(table);
    default:
      return config satisfies never;
  }
}

/**
 * Weights to start from, a function of config and seed; see parameters.ts. The residual U-Net's last convolution starts at
 * zero.
 *
 * @throws E_MODEL_CONFIG, E_RANDOM_KEY
 */
export function initialParameters(config: ModelConfig, seed: number): Float32Array {
  return initialise(layersOf(config), config.kind === 'unet' ? UNET_ZERO_LAYER : null, seed);
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
  switch (config.kind) {
    case 'unet':
      return unetForward(engine, config, parameter, x, t, labels);
    case 'seed-unet':
      return seedForward(engine, config, parameter, x, t);
    default:
      return config satisfies never;
  }
}

function layersOf(config: ModelConfig): Layer[] {
  switch (config.kind) {
    case 'unet':
      return unetLayers(config);
    case 'seed-unet':
      return seedLayers(config);
    default:
      return config satisfies never;
  }
}
