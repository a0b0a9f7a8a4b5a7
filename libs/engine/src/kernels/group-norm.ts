/**
 * Group normalisation (Wu & He 2018), optionally followed by SiLU, with the gradient written out, for autodiff of the plain
 * formula walks the activation a dozen times. As one of our own kernels (native/group_norm.h) where the engine has them and
 * the channels fill vectors; else composed of TensorFlow's ops, as on a GPU.
 *
 * Nomenclature: X [n, p, C] the input, p = h w pixels; e [n, C] an offset to add first (time embedding and convolution
 * bias: never added to the activation itself); g, b [C] scale and shift; G groups, c = C / G, M = p c elements a group.
 * grp sums a group's channels, [n, C] -> [n, G, 1]; ung repeats a group's value back, [n, G, 1] -> [n, C].
 *
 * Forward: mu = sum_p X / p; Z = sum_p (X - mu)^2; a = mu + e; m = grp(a) / c;
 *   v = grp(Z + p (a - ung(m))^2) / M; R = ung(rsqrt(v + epsilon)); sc = R g; sh = b + (e - ung(m)) sc;
 *   y = X sc + sh; z = y sigmoid(y).
 *   The variance is put together from each channel's own (Chan, Golub & LeVeque 1979): every term is a square, so it can
 *   neither cancel where |mean| >> std, nor be negative.
 * Backward: dy = dz (SigmoidGrad(s, y) + s); S1 = sum_p dy; S2 = sum_p dy X; d = e - ung(m); dgn = R (S2 + d S1);
 *   Pg = ung(grp(g S1)); Q = ung(grp(g dgn)); nR = -R / M; Bx = nR R Q; D = Bx d + nR Pg;
 *   dX = dy sc + X Bx + D; de = sc S1 + p (Bx mu + D); dg = sum_n dgn; db = sum_n S1.
 */
import { FLOAT, bool, float, int, type Attributes } from './attributes.js';
import type { Tensor } from '../device/binding.js';
import { customGradient, type Forward } from './custom-gradient.js';
import type { Engine } from '../device/load.js';
import { VECTOR } from './conv3x3.js';
import { siluGradient } from './silu.js';

export type GroupNormOptions = {
  /** [n, h, w, C], float32. */
  readonly x: Tensor;
  /** [n, C], added to every pixel before normalising; zero where left out. */
  readonly offset?: Tensor;
  /** [C], scale. */
  readonly gamma: Tensor;
  /** [C], shift. */
  readonly beta: Tensor;
  /** Divides C. */
  readonly groups: number;
  /** Added to the variance; 1e-5 where left out, as in PyTorch. */
  readonly epsilon?: number;
};

/** Group normalisation of x + offset: [n, h, w, C]. Throws a RangeError where groups does not divide C. */
export function groupNorm(engine: Engine, options: GroupNormOptions): Tensor {
  return normalise(engine, options, false);
}

/** SiLU of the group normalisation of x + offset: [n, h, w, C]. Throws a RangeError where groups does not divide C. */
export function groupNormSilu(engine: Engine, options: GroupNormOptions): Tensor {
  return normalise(engine, options, true);
}

function normalise(
  engine: Engine,
  { x, offset, gamma, beta, groups, epsilon = 1e-5 }: GroupNormOptions,
  activate: boolean,
): Tensor {
  const [n, h, w, C] = x.shape;
  if (x.shape.length !== 4 || C % groups !== 0)
    throw new RangeError(`groupNorm needs [n, h, w, C] with C a multiple of ${groups} groups, not [${x.shape.join()}]`);
  const e = offset ?? engine.tf.zeros([n, C]);
  if (engine.native && C % VECTOR === 0) {
    const attributes = { groups: int(groups), epsilon: float(epsilon), silu: bool(activate) };
    return customGradient(engine, [x, e, gamma, beta], (inputs) => fused(engine, inputs, attributes));
  }
  const layout = { n, p: h * w, C, groups, shape: [n, h, w, C] };
  return customGradient(engine, [x, e, gamma, beta], (inputs) => forward(engine, inputs, layout, epsilon, activate));
}

function fused(engine: Engine, [x, e, g, b]: Tensor[], attributes: Attributes): Forward {
  const [value, statistics] = engine.kernels('LockstepGroupNorm', attributes, [x, e, g, b], 2);
  return {
    value,
    saved: [x, statistics, g, b],
    backward: (dz, saved) => engine.kernels('LockstepGroupNormGradient', attributes, [dz, ...saved], 4),
  };
}

type Layout = { n: number; p: number; C: number; groups: number; shape: number[] };

function forward(engine: Engine, [x, e, g, b]: Tensor[], layout: Layout, epsilon: number, activate: boolean): Forward {
  const { tf } = engine;
  const { n, p, C, shape } = layout;
  const { grp, ung, perChannel, M, c } = groupOps(engine, layout);
  const X = tf.reshape(x, [n, p, C]);
  const mu = tf.mul(tf.sum(X, 1), 1 / p);
  const Z = tf.sum(engine.kernel('SquaredDifference', { T: FLOAT }, [X, perChannel(mu)]), 1);
  const a = tf.add(mu, e);
  const mean = ung(tf.mul(grp(a), 1 / c));
  const v = tf.mul(grp(tf.add(Z, tf.mul(tf.square(tf.sub(a, mean)), p))), 1 / M);
  const R = ung(tf.rsqrt(tf.add(v, epsilon)));
  const d = tf.sub(e, mean);
  const sc = tf.mul(R, g);
  const sh = tf.add(b, tf.mul(d, sc));
  const y = tf.add(tf.mul(X, perChannel(sc)), perChannel(sh));
  const statistics = [X, g, R, d, mu, sc];
  if (!activate)
    return {
      value: tf.reshape(y, shape),
      saved: statistics,
      backward: (dz, saved) => backward(engine, tf.reshape(dz, [n, p, C]), saved, layout),
    };
  const s = tf.sigmoid(y);
  return {
    value: tf.reshape(tf.mul(y, s), shape),
    saved: [...statistics, y, s],
    backward: (dz, saved) =>
      backward(engine, siluGradient(engine, tf.reshape(dz, [n, p, C]), saved[6], saved[7]), saved, layout),
  };
}

function backward(engine: Engine, dy: Tensor, [X, g, R, d, mu, sc]: Tensor[], layout: Layout): Tensor[] {
  const { tf } = engine;
  const { grp, ung, perChannel, M } = groupOps(engine, layout);
  const S1 = tf.sum(dy, 1);
  const S2 = tf.sum(tf.mul(dy, X), 1);
  const dgn = tf.mul(R, tf.add(S2, tf.mul(d, S1)));
  const Pg = ung(grp(tf.mul(g, S1)));
  const Q = ung(grp(tf.mul(g, dgn)));
  const nR = tf.mul(R, -1 / M);
  const Bx = tf.mul(tf.mul(nR, R), Q);
  const D = tf.add(tf.mul(Bx, d), tf.mul(nR, Pg));
  const dX = tf.add(tf.add(tf.mul(dy, perChannel(sc)), tf.mul(X, perChannel(Bx))), perChannel(D));
  const de = tf.add(tf.mul(sc, S1), tf.mul(tf.add(tf.mul(Bx, mu), D), layout.p));
  return [tf.reshape(dX, layout.shape), de, tf.sum(dgn, 0), tf.sum(S1, 0)];
}

function groupOps({ tf }: Engine, { n, p, C, groups }: Layout) {
  const c = C / groups;
  return {
    c,
    M: p * c,
    grp: (t: Tensor): Tensor => tf.sum(tf.reshape(t, [n, groups, c]), 2, true),
    ung: (t: Tensor): Tensor => tf.reshape(tf.tile(t, [1, 1, c]), [n, C]),
    perChannel: (t: Tensor): Tensor => tf.reshape(t, [n, 1, C]),
  };
}
