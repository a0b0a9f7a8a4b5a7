/**
 * The residual U-Net as data: its config, and the list of its layers.
 *
 * Levels i = 0..L-1 have base * channelMultipliers[i] channels at imageSize / 2^i. Down: a residual block a level, then a
 * strided convolution. Middle: block, self-attention, block. Up, from the last level: a block on the concatenation with the
 * way down, then nearest up-sampling and a convolution to the next level's channels. Each block gets the time embedding, to
 * which a conditional network adds that of the label: a row of a table, whose last row is for no label.
 *
 * (Ronneberger et al. 2015, with the residual blocks, group norm and attention of Ho et al. 2020.)
 */
import { DiffusionError } from '../errors.js';
import type { Layer, ParameterTable } from '@lockstep/task';

export type UNetConfig = {
  readonly kind: 'unet';
  /** Channels of the first level; also the width of the sinusoidal time features. */
  readonly base: number;
  readonly channelMultipliers: readonly number[];
  /** Self-attention between the two middle blocks, or none. */
  readonly attentionAt: 'middle' | 'nowhere';
  /** Groups of every group norm; divides every level's channels. */
  readonly groups: number;
  /** Rows and columns of an image; halved L-1 times. */
  readonly imageSize: number;
  /** Channels of an image. */
  readonly channels: number;
  /** Width of the time embedding that the blocks get. */
  readonly timeEmbedding: number;
  /** Labels are 0 .. classes-1, and `classes` stands for none; 0: the network knows no labels. */
  readonly classes: number;
};

/** Eight halvings take any image we could train on here to a few pixels; more is a typing mistake. */
const MAX_LEVELS = 8;
/** A level this wide has a billion weights. */
const MAX_CHANNELS = 8192;
/** As many as the largest labelled image sets have; the table of their embeddings is a part of every step. */
const MAX_CLASSES = 100_000;

/** A deepest level with more rows is halved once more where that goes: attention there compares every pixel with every other. */
const MOST_DEEPEST_ROWS = 8;

/**
 * A preset's network for images of this side and so many channels: with more levels, as wide as its deepest one, where the images are
 * larger than it is meant for.
 *
 * @throws E_DATA_SIZE if the image cannot be halved as often as the network has levels
 */
export function unetFor(preset: UNetConfig, imageSize: number, channels: number): UNetConfig {
  const multipliers = [...preset.channelMultipliers];
  const factor = 2 ** (multipliers.length - 1);
  if (imageSize % factor !== 0) {
    throw new DiffusionError(
      'E_DATA_SIZE',
      `the images are ${imageSize}x${imageSize}, and this network halves them ${multipliers.length - 1} times: their sides must be ` +
        `multiples of ${factor}; cut or resize them beforehand (nothing is resized here)`,
    );
  }
  for (let rows = imageSize / factor; rows > MOST_DEEPEST_ROWS && rows % 2 === 0; rows /= 2) {
    multipliers.push(multipliers[multipliers.length - 1]);
  }
  return { ...preset, channelMultipliers: multipliers, imageSize, channels };
}

/** Channels of each level. */
export function levelChannels(config: UNetConfig): number[] {
  return config.channelMultipliers.map((multiplier) => config.base * multiplier);
}

/**
 * Checks that a config describes a network that can be built.
 *
 * @throws E_MODEL_CONFIG naming the first number that does not fit
 */
export function checkUNetConfig(config: UNetConfig): void {
  const require = (holds: boolean, what: string): void => {
    if (!holds) {
      throw new DiffusionError('E_MODEL_CONFIG', `U-Net config: ${what}. Got ${JSON.stringify(config)}`);
    }
  };
  const { base, channelMultipliers, groups, imageSize, channels, timeEmbedding, classes } = config;
  for (const [name, value] of Object.entries({ base, groups, imageSize, channels, timeEmbedding })) {
    require(Number.isInteger(value) && value > 0, `${name} must be a positive integer`);
  }
  const known = Number.isInteger(classes) && classes >= 0 && classes <= MAX_CLASSES;
  require(known, `classes must be an integer from 0 to ${MAX_CLASSES}`);
  const levels = channelMultipliers.length;
  require(levels >= 1 && levels <= MAX_LEVELS, `channelMultipliers must have 1 to ${MAX_LEVELS} entries`);
  require(base % 2 === 0, 'base must be even: half of the time features are sines, half cosines');
  require(imageSize % 2 ** (levels - 1) ===
    0, `imageSize must be a multiple of ${2 ** (levels - 1)} for ${levels} levels`);
  for (const width of levelChannels(config)) {
    const fits = Number.isInteger(width) && width > 0 && width <= MAX_CHANNELS;
    require(fits, `each level needs 1 to ${MAX_CHANNELS} channels`);
    require(width % groups === 0, `groups must divide each level's channels, and ${groups} does not divide ${width}`);
    // With one channel a group, the norm takes the time embedding, a constant over a channel's pixels, out again.
    require(width > groups, `a group needs two channels or more, and ${width} channels are ${groups} groups`);
  }
}

function residualBlock(name: string, from: number, to: number, timeEmbedding: number): Layer[] {
  const layers: Layer[] = [
    { kind: 'norm', name: `${name}.norm1`, channels: from },
    { kind: 'conv', name: `${name}.conv1`, kernel: 3, from, to },
    { kind: 'linear', name: `${name}.time`, from: timeEmbedding, to },
    { kind: 'norm', name: `${name}.norm2`, channels: to },
    { kind: 'conv', name: `${name}.conv2`, kernel: 3, from: to, to },
  ];
  return from === to ? layers : [...layers, { kind: 'conv', name: `${name}.skip`, kernel: 1, from, to }];
}

/**
 * Every layer with weights, in the order of the forward pass.
 *
 * @throws E_MODEL_CONFIG as {@link checkUNetConfig}
 */
export function unetLayers(config: UNetConfig): Layer[] {
  checkUNetConfig(config);
  const { base, channels, timeEmbedding, classes } = config;
  const widths = levelChannels(config);
  const last = widths.length - 1;
  const deepest = widths[last];
  const layers: Layer[] = [
    { kind: 'linear', name: 'time.linear1', from: base, to: timeEmbedding },
    { kind: 'linear', name: 'time.linear2', from: timeEmbedding, to: timeEmbedding },
  ];
  if (classes > 0) {
    layers.push({ kind: 'embedding', name: 'class_embedding', rows: classes + 1, width: timeEmbedding });
  }
  layers.push({ kind: 'conv', name: 'conv_in', kernel: 3, from: channels, to: widths[0] });
  widths.forEach((width, i) => {
    layers.push(...residualBlock(`down.${i}`, i === 0 ? widths[0] : widths[i - 1], width, timeEmbedding));
    if (i < last) {
      layers.push({ kind: 'conv', name: `down.${i}.downsample`, kernel: 3, from: width, to: width });
    }
  });
  layers.push(...residualBlock('middle.block1', deepest, deepest, timeEmbedding));
  if (config.attentionAt === 'middle') {
    layers.push(
      { kind: 'norm', name: 'middle.attention.norm', channels: deepest },
      { kind: 'conv', name: 'middle.attention.qkv', kernel: 1, from: deepest, to: 3 * deepest },
      { kind: 'conv', name: 'middle.attention.out', kernel: 1, from: deepest, to: deepest },
    );
  }
  layers.push(...residualBlock('middle.block2', deepest, deepest, timeEmbedding));
  for (let i = last; i >= 0; i--) {
    layers.push(...residualBlock(`up.${i}`, 2 * widths[i], widths[i], timeEmbedding));
    if (i > 0) {
      layers.push({ kind: 'conv', name: `up.${i}.upsample`, kernel: 3, from: widths[i], to: widths[i - 1] });
    }
  }
  layers.push(
    { kind: 'norm', name: 'norm_out', channels: widths[0] },
    { kind: 'conv', name: 'conv_out', kernel: 3, from: widths[0], to: channels },
  );
  return layers;
}

/** The layer that starts at zero, so that an untrained network predicts eps = 0 and its loss starts at 1. */
export const UNET_ZERO_LAYER = 'conv_out';

/** The first tensor below the image's own size: the way down comes first in the table, and last in backpropagation. */
export function unetEarlyFrom(table: ParameterTable): number {
  const below = table.findIndex(({ name }) => name.startsWith('down.1.'));
  return below === -1 ? table.findIndex(({ name }) => name.startsWith('middle.')) : below;
}
