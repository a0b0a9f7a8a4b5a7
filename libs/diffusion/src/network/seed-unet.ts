/**
 * The seed tutorial's U-Net, layer by layer as its author has it, so that its numbers can be compared with. (Ho et al. 2020 with
 * a small network of the tutorial's own; 28 x 28 grey images only, as its pooling ends at one pixel.)
 *
 * F features. block(a -> b) is a 3x3 convolution, group norm of 8 groups (eps 1e-5), ReLU.
 *   x_f = block(1 -> F) @28   d1 = pool(block(F -> F)) @14   d2 = pool(block(F -> 2F)) @7   d3 = pool(block(2F -> 2F)) @3
 *   latent = ReLU(average pool of d3) @1, plus e = W2 sin(w1 t) + b2, where t is what the network sees of the timestep
 *   u1 = ReLU(norm(up3(latent + e))) @3        u2 = block(up2([u1, d3]) -> 2F) @7
 *   u3 = block(up2([u2, d2]) -> F) @14         u4 = block(up2([u3, d1]) -> F) @28
 *   eps = conv3([u4, x_f]) @28
 * pool is a maximum over 2 x 2 (7 to 3: the last row and column are left out), up_k a transposed convolution with kernel and stride
 * k; from 3 to 7 its last row and column have the bias alone (PyTorch's output_padding = 1).
 */
import { type Engine, type Tensor, biasAdd, conv3x3, groupNorm, rank4, relu } from '@lockstep/engine';

import { DiffusionError } from '../errors.js';
import type { Layer, ParameterTable } from './parameters.js';

export type SeedUNetConfig = {
  readonly kind: 'seed-unet';
  /** F: channels at full size. */
  readonly features: number;
  readonly imageSize: 28;
  readonly channels: 1;
};

const GROUPS = 8;
/** The tutorial's largest network has 128; at 4096 it would have four billion weights. */
const MAX_FEATURES = 2048;

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
 * @throws E_MODEL_CONFIG if features is not a multiple of 8 or the images are not 28 x 28 and grey
 */
export function seedLayers(config: SeedUNetConfig): Layer[] {
  const { features: F, imageSize, channels } = config;
  const grey28: readonly number[] = [imageSize, channels];
  if (!Number.isInteger(F) || F < GROUPS || F > MAX_FEATURES || F % GROUPS !== 0) {
    throw new DiffusionError(
      'E_MODEL_CONFIG',
      `seed U-Net: features is ${F}: use a multiple of ${GROUPS} up to ${MAX_FEATURES}`,
    );
  }
  if (grey28[0] !== 28 || grey28[1] !== 1) {
    throw new DiffusionError(
      'E_MODEL_CONFIG',
      `seed U-Net: images of ${imageSize} x ${imageSize} x ${channels}: it is made for 28 x 28 x 1; use a preset of the other network`,
    );
  }
  return [
    { kind: 'matrix', name: 'time.linear1', from: 1, to: 2 * F },
    { kind: 'linear', name: 'time.linear2', from: 2 * F, to: 2 * F },
    ...block('in', 1, F),
    ...block('down.1', F, F),
    ...block('down.2', F, 2 * F),
    ...block('down.3', 2 * F, 2 * F),
    { kind: 'convTranspose', name: 'up.1.up', kernel: 3, from: 2 * F, to: 2 * F },
    { kind: 'norm', name: 'up.1.norm', channels: 2 * F },
    { kind: 'convTranspose', name: 'up.2.up', kernel: 2, from: 4 * F, to: 2 * F },
    ...block('up.2', 2 * F, 2 * F),
    { kind: 'convTranspose', name: 'up.3.up', kernel: 2, from: 4 * F, to: F },
    ...block('up.3', F, F),
    { kind: 'convTranspose', name: 'up.4.up', kernel: 2, from: 2 * F, to: F },
    ...block('up.4', F, F),
    { kind: 'conv', name: 'out', kernel: 3, from: 2 * F, to: 1 },
  ];
}

/**
 * Predicts the noise in x.
 *
 * @param parameter the network's tensors by name, in the layouts of parameters.ts
 * @param x [n, 28, 28, 1]
 * @param t [n], what the network sees of the timestep
 * @returns eps [n, 28, 28, 1]
 */
export function seedForward(engine: Engine, parameter: (name: string) => Tensor, x: Tensor, t: Tensor): Tensor {
  const { tf } = engine;
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
  const latent = relu(engine, tf.avgPool(rank4(d3), 3, 3, 'valid'));
  const waves = tf.sin(tf.matMul(tf.reshape(t, [-1, 1]), parameter('time.linear1.weight')));
  const e = biasAdd(engine, tf.matMul(waves, parameter('time.linear2.weight')), parameter('time.linear2.bias'));
  const u1 = normRelu('up.1.norm', up('up.1', tf.add(latent, tf.reshape(e, latent.shape)), 3));
  const u2 = block('up.2', up('up.2', joined(u1, d3), 7));
  const u3 = block('up.3', up('up.3', joined(u2, d2), 14));
  const u4 = block('up.4', up('up.4', joined(u3, d1), 28));
  return conv('out', joined(u4, xf));
}

/** The first tensor below the image's own size; see earlyFrom in model.ts. */
export function seedEarlyFrom(table: ParameterTable): number {
  return table.findIndex(({ name }) => name.startsWith('down.2.'));
}
