/**
 * The seed tutorial's U-Net, layer by layer as its author has it, so that its numbers can be compared with. (Ho et al. 2020 with
 * a small network of the tutorial's own.) The tutorial's images are 28 x 28 and grey, and the numbers here are those of such images;
 * of others the sizes and channels are their own: S, S/2, S/4 and S/8, rounded down.
 *
 * F features. block(a -> b) is a 3x3 convolution, group norm of 8 groups (eps 1e-5), ReLU.
 *   x_f = block(1 -> F) @28   d1 = pool(block(F -> F)) @14   d2 = pool(block(F -> 2F)) @7   d3 = pool(block(2F -> 2F)) @3
 *   latent = ReLU(average pool of d3) @1, plus e = W2 sin(w1 t) + b2, where t is what the network sees of the timestep
 *   u1 = ReLU(norm(up3(latent + e))) @3        u2 = block(up2([u1, d3]) -> 2F) @7
 *   u3 = block(up2([u2, d2]) -> F) @14         u4 = block(up2([u3, d1]) -> F) @28
 *   eps = conv3([u4, x_f]) @28
 * pool is a maximum over 2 x 2 (7 to 3: the last row and column are left out), up_k a transposed convolution with kernel and stride
 * k, where up3 has the S/8 of its output; from 3 to 7 its last row and column have the bias alone (PyTorch's output_padding = 1).
 */
import { type Engine, type Tensor, biasAdd, conv3x3, groupNorm, rank4, relu } from '@lockstep/engine';

import { DiffusionError } from '../errors.js';
import type { Layer, ParameterTable } from '@lockstep/task';

export type SeedUNetConfig = {
  readonly kind: 'seed-unet';
  /** F: channels at full size. */
  readonly features: number;
  /** S: rows and columns of an image. */
  readonly imageSize: number;
  /** Channels of an image. */
  readonly channels: number;
};

const GROUPS = 8;
/** The tutorial's largest network has 128; at 4096 it would have four billion weights. */
const MAX_FEATURES = 2048;
/** So that a pixel is left at the bottom; and so that its first transposed convolution stays small. */
const [LEAST_SIZE, MOST_SIZE] = [8, 256];

/** S, S/2, S/4 and S/8, rounded down. */
function sizesOf({ imageSize }: SeedUNetConfig): readonly [number, number, number, number] {
  return [imageSize, imageSize >> 1, imageSize >> 2, imageSize >> 3];
}

/** 3x3 convolution and norm. */
function block(name: string, from: number, to: number): Layer[] {
  return [
    { kind: 'conv', name: `${name}.conv`, kernel: 3, from, to },
    { kind: 'norm', name: `${name}.norm`, channels: to },
  ];
}

/**
 * Every layer with weights, in the order of the forward pass.
 *
 * @throws E_MODEL_CONFIG if features is not a multiple of 8, or the images are too small or large or have no channels
 */
export function seedLayers(config: SeedUNetConfig): Layer[] {
  const { features: F, imageSize, channels } = config;
  if (!Number.isInteger(F) || F < GROUPS || F > MAX_FEATURES || F % GROUPS !== 0) {
    throw new DiffusionError(
      'E_MODEL_CONFIG',
      `seed U-Net: features is ${F}: use a multiple of ${GROUPS} up to ${MAX_FEATURES}`,
    );
  }
  const fits = Number.isInteger(imageSize) && imageSize >= LEAST_SIZE && imageSize <= MOST_SIZE;
  if (!fits || !Number.isInteger(channels) || channels < 1) {
    throw new DiffusionError(
      'E_MODEL_CONFIG',
      `seed U-Net: images of ${imageSize} x ${imageSize} x ${channels}: use ${LEAST_SIZE} to ${MOST_SIZE} pixels a side, and a channel or more`,
    );
  }
  const deepest = sizesOf(config)[3];
  return [
    { kind: 'matrix', name: 'time.linear1', from: 1, to: 2 * F },
    { kind: 'linear', name: 'time.linear2', from: 2 * F, to: 2 * F },
    ...block('in', channels, F),
    ...block('down.1', F, F),
    ...block('down.2', F, 2 * F),
    ...block('down.3', 2 * F, 2 * F),
    { kind: 'convTranspose', name: 'up.1.up', kernel: deepest, from: 2 * F, to: 2 * F },
    { kind: 'norm', name: 'up.1.norm', channels: 2 * F },
    { kind: 'convTranspose', name: 'up.2.up', kernel: 2, from: 4 * F, to: 2 * F },
    ...block('up.2', 2 * F, 2 * F),
    { kind: 'convTranspose', name: 'up.3.up', kernel: 2, from: 4 * F, to: F },
    ...block('up.3', F, F),
    { kind: 'convTranspose', name: 'up.4.up', kernel: 2, from: 2 * F, to: F },
    ...block('up.4', F, F),
    { kind: 'conv', name: 'out', kernel: 3, from: 2 * F, to: channels },
  ];
}

/**
 * Predicts the noise in x.
 *
 * @param parameter the network's tensors by name, in the layouts of parameters.ts
 * @param x [n, S, S, channels]
 * @param t [n], what the network sees of the timestep
 * @returns eps, in x's shape
 */
export function seedForward(
  engine: Engine,
  config: SeedUNetConfig,
  parameter: (name: string) => Tensor,
  x: Tensor,
  t: Tensor,
): Tensor {
  const { tf } = engine;
  const [size, half, quarter, eighth] = sizesOf(config);
  const conv = (name: string, h: Tensor): Tensor =>
    conv3x3(engine, { x: h, filter: parameter(`${name}.weight`), bias: parameter(`${name}.bias`) });
  const normRelu = (name: string, h: Tensor): Tensor => {
    const [gamma, beta] = [parameter(`${name}.weight`), parameter(`${name}.bias`)];
    return relu(engine, groupNorm(engine, { x: h, gamma, beta, groups: GROUPS }));
  };
  const block = (name: string, h: Tensor): Tensor => normRelu(`${name}.norm`, conv(`${name}.conv`, h));
  const pooled = (h: Tensor): Tensor => tf.maxPool(rank4(h), 2, 2, 'valid');
  const up = (name: string, h: Tensor, size: number): Tensor => {
    const filter = rank4(parameter(`${name}.up.weight`));
    const [kernel, , channels] = filter.shape;
    const larger = tf.conv2dTranspose(rank4(h), filter, [h.shape[0], size, size, channels], kernel, 'valid');
    return biasAdd(engine, larger, parameter(`${name}.up.bias`));
  };
  const joined = (a: Tensor, b: Tensor): Tensor => tf.concat([a, b], 3);

  const xf = block('in', x);
  const d1 = pooled(block('down.1', xf));
  const d2 = pooled(block('down.2', d1));
  const d3 = pooled(block('down.3', d2));
  const latent = relu(engine, tf.avgPool(rank4(d3), eighth, eighth, 'valid'));
  const waves = tf.sin(tf.matMul(tf.reshape(t, [-1, 1]), parameter('time.linear1.weight')));
  const e = biasAdd(engine, tf.matMul(waves, parameter('time.linear2.weight')), parameter('time.linear2.bias'));
  const u1 = normRelu('up.1.norm', up('up.1', tf.add(latent, tf.reshape(e, latent.shape)), eighth));
  const u2 = block('up.2', up('up.2', joined(u1, d3), quarter));
  const u3 = block('up.3', up('up.3', joined(u2, d2), half));
  const u4 = block('up.4', up('up.4', joined(u3, d1), size));
  return conv('out', joined(u4, xf));
}

/** The first tensor below the image's own size; see earlyFrom in model.ts. */
export function seedEarlyFrom(table: ParameterTable): number {
  return table.findIndex(({ name }) => name.startsWith('down.2.'));
}
