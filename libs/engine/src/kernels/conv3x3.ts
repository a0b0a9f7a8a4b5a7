/**
 * The 3x3 convolution with stride 1 and zero padding ('same') that most of a U-Net's time goes to, with bias, residual and
 * up-sampling in the same op: as one of our own kernels (native/conv3x3.h, Winograd's F(4x4, 3x3)) where the engine has them
 * and the channels fill vectors; else composed of TensorFlow's ops, as on a GPU.
 */
import { bool } from './attributes.js';
import { biasAdd } from './bias-add.js';
import type { Tensor } from '../device/binding.js';
import { customGradient, type Forward } from './custom-gradient.js';
import type { Engine } from '../device/load.js';
import { rank4 } from './rank.js';

/** Channels are computed on in vectors of so many. */
export const VECTOR = 8;

export type Conv3x3Options = {
  /** [n, h, w, in], float32; [n, h / 2, w / 2, in] if `doubled`. */
  readonly x: Tensor;
  /** [3, 3, in, out]. */
  readonly filter: Tensor;
  /** [out], added to every pixel. */
  readonly bias?: Tensor;
  /** [n, h, w, out], added to the result. */
  readonly residual?: Tensor;
  /** Every pixel of x stands for two by two of itself (nearest-neighbour up-sampling before the convolution). */
  readonly doubled?: boolean;
};

/** x * filter + bias + residual: [n, h, w, out]. */
export function conv3x3(engine: Engine, options: Conv3x3Options): Tensor {
  const [, , input, output] = options.filter.shape;
  return engine.native && input % VECTOR === 0 && output % VECTOR === 0
    ? fused(engine, options)
    : composed(engine, options);
}

function composed(engine: Engine, { x, filter, bias, residual, doubled = false }: Conv3x3Options): Tensor {
  const { tf } = engine;
  const image = doubled ? doubledImage(engine, x) : x;
  const convolved = tf.conv2d(rank4(image), rank4(filter), 1, 'same');
  const shifted = bias === undefined ? convolved : biasAdd(engine, convolved, bias);
  return residual === undefined ? shifted : tf.add(shifted, residual);
}

/**
 * Every pixel two by two times; the gradient is the sum of the four. TensorFlow's own gradient of the resizing refuses to run on a
 * GPU when ops must be deterministic, as they must here.
 */
function doubledImage(engine: Engine, x: Tensor): Tensor {
  const { tf } = engine;
  const [, rows, columns] = x.shape;
  return customGradient(engine, [x], ([small]) => ({
    value: tf.image.resizeNearestNeighbor(rank4(small), [2 * rows, 2 * columns]),
    saved: [],
    backward: (dy) => [tf.mul(tf.avgPool(rank4(dy), 2, 2, 'valid'), 4)],
  }));
}

function fused(engine: Engine, { x, filter, bias, residual, doubled = false }: Conv3x3Options): Tensor {
  const attributes = { doubled: bool(doubled) };
  // An empty tensor stands for what is left out; its gradient is never asked for.
  const nothing = engine.tf.zeros([0]);
  const forward = ([x0, filter0, ...added]: Tensor[]): Forward => ({
    value: engine.kernel('LockstepConv3x3', attributes, [x0, filter0, ...added]),
    saved: [x0, filter0],
    backward: (dy, saved) => {
      const dx = engine.kernel('LockstepConv3x3InputGradient', attributes, [dy, saved[1]]);
      const [dfilter, dbias] = engine.kernels('LockstepConv3x3FilterGradient', attributes, [saved[0], dy], 2);
      return [dx, dfilter, dbias, dy];
    },
  });
  return customGradient(engine, [x, filter, bias ?? nothing, residual ?? nothing], forward);
}
