/**
 * The residual U-Net's forward pass (structure: unet-layers.ts): x_t and t to the predicted noise.
 *
 * Nomenclature: images are [n, rows, columns, channels]; e [n, timeEmbedding] is the time embedding; `parameter(name)` is a
 * tensor of the network's table. Every convolution keeps the size ('same'; with stride 2, half of it: zeros after the last
 * row and column only, as TensorFlow pads).
 * Inside a block, the first convolution's bias and the time embedding are not added to the image but handed to the second
 * norm as its offset [n, C]: that folds them into its statistics and saves two passes over the largest tensors.
 */
import { type Engine, type Tensor, biasAdd, conv3x3, groupNorm, groupNormSilu, rank4, silu } from '@lockstep/engine';

import { levelChannels } from './unet-layers.js';
import type { UNetConfig } from './unet-layers.js';

/** A parameter by its name in the table. */
export type Parameters = (name: string) => Tensor;

type ConvolutionOptions = { readonly residual?: Tensor; readonly doubled?: boolean };
type Build = { readonly engine: Engine; readonly config: UNetConfig; readonly parameter: Parameters };

/** Time features are sin and cos of t times 10000^(-i / half), i = 0..half-1 (Vaswani et al. 2017). */
const LARGEST_PERIOD_RATIO = 10000;

/**
 * Predicts the noise in x, or what else the network is trained to predict.
 *
 * @param parameter the network's tensors by name, in the layouts of parameters.ts
 * @param x [n, imageSize, imageSize, channels]
 * @param t [n], what the network sees of the timestep
 * @param labels [n] int32, 0 .. classes; of a conditional network only
 * @returns eps, or what else it is trained to predict: [n, imageSize, imageSize, channels]
 */
export function unetForward(
  engine: Engine,
  config: UNetConfig,
  parameter: Parameters,
  x: Tensor,
  t: Tensor,
  labels: Tensor | undefined,
): Tensor {
  const { tf } = engine;
  const build: Build = { engine, config, parameter };
  const last = levelChannels(config).length - 1;
  const e = embedding(build, t, labels);
  let h = convolution(build, 'conv_in', x);
  const skips: Tensor[] = [];
  for (let i = 0; i <= last; i++) {
    h = residualBlock(build, `down.${i}`, h, e);
    skips.push(h);
    if (i < last) {
      h = plainConvolution(build, `down.${i}.downsample`, h, 2);
    }
  }
  h = residualBlock(build, 'middle.block1', h, e);
  if (config.attentionAt === 'middle') {
    h = selfAttention(build, 'middle.attention', h);
  }
  h = residualBlock(build, 'middle.block2', h, e);
  for (let i = last; i >= 0; i--) {
    h = residualBlock(build, `up.${i}`, tf.concat([h, skips[i]], 3), e);
    if (i > 0) {
      h = convolution(build, `up.${i}.upsample`, h, { doubled: true });
    }
  }
  return convolution(build, 'conv_out', normSilu(build, 'norm_out', h));
}

/** 1x1, or 3x3 with a stride. */
function plainConvolution({ engine, parameter }: Build, name: string, x: Tensor, stride = 1): Tensor {
  const convolved = engine.tf.conv2d(rank4(x), rank4(parameter(`${name}.weight`)), stride, 'same');
  return biasAdd(engine, convolved, parameter(`${name}.bias`));
}

function convolution({ engine, parameter }: Build, name: string, x: Tensor, more: ConvolutionOptions = {}): Tensor {
  return conv3x3(engine, { x, filter: parameter(`${name}.weight`), bias: parameter(`${name}.bias`), ...more });
}

/** x [n, in] to [n, out]. */
function linear({ engine, parameter }: Build, name: string, x: Tensor): Tensor {
  return biasAdd(engine, engine.tf.matMul(x, parameter(`${name}.weight`)), parameter(`${name}.bias`));
}

function normOptions({ config, parameter }: Build, name: string, x: Tensor) {
  return { x, gamma: parameter(`${name}.weight`), beta: parameter(`${name}.bias`), groups: config.groups };
}

function normSilu(build: Build, name: string, x: Tensor): Tensor {
  return groupNormSilu(build.engine, normOptions(build, name, x));
}

/**
 * t [n] to e [n, timeEmbedding]: sinusoidal features through two linear layers. A conditional network's label adds its row of
 * the table, taken by a product with one-hot rows: the product's gradient adds up in a fixed order, a gather's need not.
 */
function embedding(build: Build, t: Tensor, labels: Tensor | undefined): Tensor {
  const { tf } = build.engine;
  const half = build.config.base / 2;
  const frequencies = Array.from({ length: half }, (_, i) => Math.exp((-Math.log(LARGEST_PERIOD_RATIO) * i) / half));
  const angles = tf.mul(tf.reshape(t, [-1, 1]), tf.tensor2d([frequencies]));
  const features = tf.concat([tf.sin(angles), tf.cos(angles)], 1);
  const hidden = silu(build.engine, linear(build, 'time.linear1', features));
  const time = linear(build, 'time.linear2', hidden);
  if (labels === undefined) return silu(build.engine, time);
  const rows = tf.cast(tf.oneHot(labels, build.config.classes + 1), 'float32');
  return silu(build.engine, tf.add(time, tf.matMul(rows, build.parameter('class_embedding.weight'))));
}

/** conv(silu(norm(conv(silu(norm(x))) + time))) + x, with a 1x1 convolution on x where the channels change. */
function residualBlock(build: Build, name: string, x: Tensor, e: Tensor): Tensor {
  const { engine, parameter } = build;
  const offset = biasAdd(engine, linear(build, `${name}.time`, e), parameter(`${name}.conv1.bias`));
  const filter = parameter(`${name}.conv1.weight`);
  let h = conv3x3(engine, { x: normSilu(build, `${name}.norm1`, x), filter });
  h = groupNormSilu(engine, { ...normOptions(build, `${name}.norm2`, h), offset });
  const changesChannels = x.shape[3] !== h.shape[3];
  const residual = changesChannels ? plainConvolution(build, `${name}.skip`, x) : x;
  return convolution(build, `${name}.conv2`, h, { residual });
}

/** x + out(softmax(q k' / sqrt(C)) v), one head over all pixels. */
function selfAttention(build: Build, name: string, x: Tensor): Tensor {
  const { tf } = build.engine;
  const [n, rows, columns, C] = x.shape;
  const qkv = plainConvolution(build, `${name}.qkv`, groupNorm(build.engine, normOptions(build, `${name}.norm`, x)));
  const [q, k, v] = tf.split(tf.reshape(qkv, [n, rows * columns, 3 * C]), 3, 2);
  const attention = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(C)));
  const mixed = tf.reshape(tf.matMul(attention, v), [n, rows, columns, C]);
  return tf.add(x, plainConvolution(build, `${name}.out`, mixed));
}
