/** Products, convolutions, normalisation and pooling of the interpreter. */
import type { Call, Instructions } from './interpreter.fixture.js';
import { floatOf } from './interpreter.fixture.js';

const matmul = ({ at, has, n }: Call): void => {
  const [, , , , batch, M, N, K, transA, transB, strideA, strideB] = n;
  const [a, b, out] = [at(0).floats, at(1).floats, at(3).floats];
  for (let one = 0; one < batch; one++)
    for (let row = 0; row < M; row++)
      for (let column = 0; column < N; column++) {
        let sum = 0;
        for (let k = 0; k < K; k++)
          sum +=
            a[one * strideA + (transA === 0 ? row * K + k : k * M + row)] *
            b[one * strideB + (transB === 0 ? k * N + column : column * K + k)];
        out[(one * M + row) * N + column] = sum + (has(2) ? at(2).floats[column] : 0);
      }
};

type Sizes = Record<
  'n' | 'h' | 'w' | 'input' | 'kh' | 'kw' | 'sh' | 'sw' | 'top' | 'left' | 'dh' | 'dw' | 'oh' | 'ow' | 'co',
  number
>;

function sizes(numbers: readonly number[]): Sizes {
  const [n, h, w, input, kh, kw, sh, sw, top, left, dh, dw, oh, ow, co] = numbers;
  return { n, h, w, input, kh, kw, sh, sw, top, left, dh, dw, oh, ow, co };
}

/** Calls `each` with the places of x, filter and y of every multiplication, channels left to the caller. */
function walk(s: Sizes, each: (x: number, filter: number, y: number) => void): void {
  for (let image = 0; image < s.n; image++)
    for (let row = 0; row < s.oh; row++)
      for (let column = 0; column < s.ow; column++)
        for (let i = 0; i < s.kh; i++)
          for (let j = 0; j < s.kw; j++) {
            const y = row * s.sh + i * s.dh - s.top;
            const x = column * s.sw + j * s.dw - s.left;
            if (y < 0 || x < 0 || y >= s.h || x >= s.w) continue;
            each(
              ((image * s.h + y) * s.w + x) * s.input,
              (i * s.kw + j) * s.input * s.co,
              ((image * s.oh + row) * s.ow + column) * s.co,
            );
          }
}

function convolve(s: Sizes, x: ArrayLike<number>, filter: ArrayLike<number>): Float64Array {
  const y = new Float64Array(s.n * s.oh * s.ow * s.co);
  walk(s, (from, weights, to) => {
    for (let c = 0; c < s.input; c++)
      for (let o = 0; o < s.co; o++) y[to + o] += x[from + c] * filter[weights + c * s.co + o];
  });
  return y;
}

function inputGradient(s: Sizes, dy: ArrayLike<number>, filter: ArrayLike<number>): Float64Array {
  const dx = new Float64Array(s.n * s.h * s.w * s.input);
  walk(s, (to, weights, from) => {
    for (let c = 0; c < s.input; c++)
      for (let o = 0; o < s.co; o++) dx[to + c] += dy[from + o] * filter[weights + c * s.co + o];
  });
  return dx;
}

function filterGradient(s: Sizes, x: ArrayLike<number>, dy: ArrayLike<number>): Float64Array {
  const gradient = new Float64Array(s.kh * s.kw * s.input * s.co);
  walk(s, (from, to, above) => {
    for (let c = 0; c < s.input; c++)
      for (let o = 0; o < s.co; o++) gradient[to + c * s.co + o] += x[from + c] * dy[above + o];
  });
  return gradient;
}

/** Adds a vector over the last axis. */
function added(values: Float64Array, bias: Float32Array | null, channels: number): Float64Array {
  return bias === null ? values : values.map((value, index) => value + bias[index % channels]);
}

function winograd([n, h, w, input, co]: readonly number[]): Sizes {
  return { n, h, w, input, kh: 3, kw: 3, sh: 1, sw: 1, top: 1, left: 1, dh: 1, dw: 1, oh: h, ow: w, co };
}

/** The image with every pixel two by two times. */
function doubledImage({ n, h, w, input }: Sizes, x: Float32Array): Float32Array {
  const large = new Float32Array(n * h * w * input);
  large.forEach((_, index) => {
    const [channel, pixel] = [index % input, Math.floor(index / input)];
    const [column, row, image] = [pixel % w, Math.floor(pixel / w) % h, Math.floor(pixel / w / h)];
    large[index] = x[((image * (h / 2) + (row >> 1)) * (w / 2) + (column >> 1)) * input + channel];
  });
  return large;
}

function halved({ n, h, w, input }: Sizes, dx: Float64Array): Float64Array {
  const small = new Float64Array((n * h * w * input) / 4);
  dx.forEach((value, index) => {
    const [channel, pixel] = [index % input, Math.floor(index / input)];
    const [column, row, image] = [pixel % w, Math.floor(pixel / w) % h, Math.floor(pixel / w / h)];
    small[((image * (h / 2) + (row >> 1)) * (w / 2) + (column >> 1)) * input + channel] += value;
  });
  return small;
}

type Norm = Record<'n' | 'p' | 'C' | 'groups' | 'epsilon' | 'silu', number>;
function norm(numbers: readonly number[]): Norm {
  const [n, p, C, groups, epsilon, silu] = numbers;
  return { n, p, C, groups, epsilon: floatOf(epsilon), silu };
}

/** Mean and 1 / standard deviation of every group, of x + offset. */
function moments({ n, p, C, groups, epsilon }: Norm, x: (image: number, pixel: number, channel: number) => number) {
  const c = C / groups;
  return Array.from({ length: n * groups }, (_, index) => {
    const [image, group] = [Math.floor(index / groups), index % groups];
    const all: number[] = [];
    for (let pixel = 0; pixel < p; pixel++)
      for (let channel = group * c; channel < (group + 1) * c; channel++) all.push(x(image, pixel, channel));
    const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
    const variance = all.reduce((sum, one) => sum + (one - mean) ** 2, 0) / all.length;
    return { mean, scale: 1 / Math.sqrt(variance + epsilon) };
  });
}

const groupNorm = ({ at, n: operands }: Call): void => {
  const s = norm(operands.slice(6));
  const [x, offset, gamma, beta] = [0, 1, 2, 3].map((operand) => at(operand).floats);
  const shifted = (image: number, pixel: number, channel: number): number =>
    x[(image * s.p + pixel) * s.C + channel] + offset[image * s.C + channel];
  const all = moments(s, shifted);
  // What the gradient needs is computed there anew; a test that reads statistics compares with the kernel.
  at(5).floats.fill(0, 0, s.n * 3 * s.C);
  at(5).floats.set(offset.subarray(0, s.n * s.C));
  for (let image = 0; image < s.n; image++)
    for (let pixel = 0; pixel < s.p; pixel++)
      for (let channel = 0; channel < s.C; channel++) {
        const { mean, scale } = all[image * s.groups + Math.floor((channel * s.groups) / s.C)];
        const y = (shifted(image, pixel, channel) - mean) * scale * gamma[channel] + beta[channel];
        at(4).floats[(image * s.p + pixel) * s.C + channel] = s.silu === 0 ? y : y / (1 + Math.exp(-y));
      }
};

const groupNormGradient = ({ at, n: operands }: Call): void => {
  const s = norm(operands.slice(9));
  const [dz, x, offset, gamma, beta] = [0, 1, 2, 3, 4].map((operand) => at(operand).floats);
  const [dx, doffset, dgamma, dbeta] = [5, 6, 7, 8].map((operand) => at(operand).floats);
  const sums = { offset: new Float64Array(s.n * s.C), gamma: new Float64Array(s.C), beta: new Float64Array(s.C) };
  const shifted = (image: number, pixel: number, channel: number): number =>
    x[(image * s.p + pixel) * s.C + channel] + offset[image * s.C + channel];
  const all = moments(s, shifted);
  const [c, M] = [s.C / s.groups, (s.p * s.C) / s.groups];
  for (let image = 0; image < s.n; image++)
    for (let group = 0; group < s.groups; group++) {
      const { mean, scale } = all[image * s.groups + group];
      const each = (visit: (place: number, channel: number, normal: number, dy: number) => void): void => {
        for (let pixel = 0; pixel < s.p; pixel++)
          for (let channel = group * c; channel < (group + 1) * c; channel++) {
            const place = (image * s.p + pixel) * s.C + channel;
            const normal = (shifted(image, pixel, channel) - mean) * scale;
            const y = normal * gamma[channel] + beta[channel];
            const gate = 1 / (1 + Math.exp(-y));
            visit(place, channel, normal, dz[place] * (s.silu === 0 ? 1 : gate + y * gate * (1 - gate)));
          }
      };
      let [first, second] = [0, 0];
      each((_, channel, normal, dy) => {
        sums.gamma[channel] += dy * normal;
        sums.beta[channel] += dy;
        first += dy * gamma[channel];
        second += dy * gamma[channel] * normal;
      });
      each((place, channel, normal, dy) => {
        const value = scale * (dy * gamma[channel] - first / M - (normal * second) / M);
        dx[place] = value;
        sums.offset[image * s.C + channel] += value;
      });
    }
  doffset.set(sums.offset);
  dgamma.set(sums.gamma);
  dbeta.set(sums.beta);
};

function pooling(numbers: readonly number[]): Sizes {
  const [n, h, w, c, kh, kw, sh, sw, top, left, oh, ow] = numbers;
  return { n, h, w, input: c, kh, kw, sh, sw, top, left, dh: 1, dw: 1, oh, ow, co: c };
}

/** Places of each window's cells, by the place of its result. */
function windows(s: Sizes): Map<number, number[]> {
  const all = new Map<number, number[]>();
  walk(s, (x, _, y) => {
    for (let c = 0; c < s.co; c++) all.set(y + c, [...(all.get(y + c) ?? []), x + c]);
  });
  return all;
}

export const convolutions: Instructions = {
  matmul,
  groupNorm,
  groupNormGradient,
  conv2d: ({ at, has, n }) => {
    const s = sizes(n.slice(4));
    at(3).floats.set(added(convolve(s, at(0).floats, at(1).floats), has(2) ? at(2).floats : null, s.co));
  },
  conv2dInputGradient: ({ at, has, n }) => {
    const s = sizes(n.slice(4));
    at(3).floats.set(added(inputGradient(s, at(0).floats, at(1).floats), has(2) ? at(2).floats : null, s.input));
  },
  conv2dFilterGradient: ({ at, n }) => {
    at(2).floats.set(filterGradient(sizes(n.slice(3)), at(0).floats, at(1).floats));
  },
  conv3x3: ({ at, has, n }) => {
    const s = winograd(n.slice(5));
    const x = n[10] === 0 ? at(0).floats : doubledImage(s, at(0).floats);
    const y = added(convolve(s, x, at(1).floats), has(2) ? at(2).floats : null, s.co);
    at(4).floats.set(has(3) ? y.map((value, index) => value + at(3).floats[index]) : y);
  },
  conv3x3InputGradient: ({ at, n }) => {
    const s = winograd(n.slice(3));
    const dx = inputGradient(s, at(0).floats, at(1).floats);
    at(2).floats.set(n[8] === 0 ? dx : halved(s, dx));
  },
  conv3x3FilterGradient: ({ at, n }) => {
    const s = winograd(n.slice(4));
    const x = n[9] === 0 ? at(0).floats : doubledImage(s, at(0).floats);
    at(2).floats.set(filterGradient(s, x, at(1).floats));
    const sums = new Float64Array(s.co);
    for (let cell = 0; cell < s.n * s.h * s.w * s.co; cell++) sums[cell % s.co] += at(1).floats[cell];
    at(3).floats.set(sums);
  },
  maxPool: ({ at, n }) => {
    for (const [y, xs] of windows(pooling(n.slice(2)))) at(1).floats[y] = Math.max(...xs.map((x) => at(0).floats[x]));
  },
  avgPool: ({ at, n }) => {
    for (const [y, xs] of windows(pooling(n.slice(2))))
      at(1).floats[y] = xs.reduce((sum, x) => sum + at(0).floats[x], 0) / xs.length;
  },
  maxPoolGradient: ({ at, n }) => {
    const s = pooling(n.slice(3));
    const dx = new Float64Array(s.n * s.h * s.w * s.input);
    for (const [y, xs] of windows(s)) {
      const largest = xs.reduce((best, x) => (at(0).floats[x] > at(0).floats[best] ? x : best));
      dx[largest] += at(1).floats[y];
    }
    at(2).floats.set(dx);
  },
  avgPoolGradient: ({ at, n }) => {
    const s = pooling(n.slice(2));
    const dx = new Float64Array(s.n * s.h * s.w * s.input);
    for (const [y, xs] of windows(s)) for (const x of xs) dx[x] += at(0).floats[y] / xs.length;
    at(1).floats.set(dx);
  },
};
