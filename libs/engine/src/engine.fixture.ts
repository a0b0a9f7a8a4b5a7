/** What the tests of this library share: the engine of this machine's cache, arrays of fixed numbers, a small network. */
import assert from 'node:assert/strict';
import { cacheDirectoryIn } from '@lockstep/config';
import type { Tensor, TypedArray } from '#src/device/binding.js';
import { biasAdd } from '#src/kernels/bias-add.js';
import { engineDirectory } from '#src/device/directory.js';
import { engineEnvironment } from '#src/device/environment.js';
import { groupNormSilu } from '#src/kernels/group-norm.js';
import { loadEngine, type Engine, type EngineOptions } from '#src/device/load.js';
import type { TensorSpec } from '#src/record/tensor-spec.js';
import type { TensorFunction } from '#src/record/trace.js';

export const SETTING = { device: 'cpu', threads: 1 } as const;

/** Loads TensorFlow's engine for a test file; each runs in a process of its own, whose environment is set here. */
export function testEngine(): Engine {
  return testEngineOf({ engine: 'tensorflow' });
}

/** The engine that runs programs, or as the options have it. */
export function testEngineOf(options: Pick<EngineOptions, 'engine' | 'graphs' | 'kernels'>): Engine {
  Object.assign(process.env, engineEnvironment(SETTING));
  return loadEngine({ ...SETTING, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)), ...options });
}

/** `length` numbers in [-1, 1), the same for the same seed (mulberry32). */
export function numbersOf(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}

/** Throws unless each pair is equal within `tolerance`, relative to the largest expected element. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  label: string,
): void {
  assert.equal(actual.length, expected.length, `${label}: length`);
  const scale = Math.max(1e-30, ...Array.from(expected, Math.abs));
  for (let index = 0; index < expected.length; index++) {
    const error = Math.abs(actual[index] - expected[index]) / scale;
    assert.ok(
      error <= tolerance,
      `${label}[${index}]: ${actual[index]} is not ${expected[index]} within ${tolerance} (${error})`,
    );
  }
}

const [BATCH, SIDE, CHANNELS] = [3, 6, 8];

/** image, target, two convolutions, a normalisation, a bias and a step number that is not used. */
export const NET_SPECS: readonly TensorSpec[] = [
  { shape: [BATCH, SIDE, SIDE, 1], dtype: 'float32' },
  { shape: [BATCH, SIDE, SIDE, 1], dtype: 'float32' },
  { shape: [3, 3, 1, CHANNELS], dtype: 'float32' },
  { shape: [CHANNELS], dtype: 'float32' },
  { shape: [CHANNELS], dtype: 'float32' },
  { shape: [3, 3, CHANNELS, 1], dtype: 'float32' },
  { shape: [1], dtype: 'float32' },
  { shape: [], dtype: 'int32' },
];

export function netInputs(seed: number): TypedArray[] {
  return NET_SPECS.map(({ shape, dtype }, index) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return dtype === 'int32' ? Int32Array.of(seed) : numbersOf(length, seed * 100 + index);
  });
}

/** Loss of a small convolutional network, and the gradients of its five parameters. */
export function netStep(engine: Engine): TensorFunction {
  const { tf } = engine;
  return ([image, target, first, gamma, beta, second, bias]) => {
    const loss = (w1: Tensor, g: Tensor, b: Tensor, w2: Tensor, b2: Tensor): Tensor => {
      const hidden = groupNormSilu(engine, { x: conv(image, w1), gamma: g, beta: b, groups: 2 });
      return tf.mean(tf.square(tf.sub(biasAdd(engine, conv(hidden, w2), b2), target)));
    };
    const conv = (x: Tensor, filter: Tensor): Tensor =>
      tf.conv2d(x.as4D(...size4(x)), filter.as4D(...size4(filter)), 1, 'same');
    const { value, grads } = tf.valueAndGrads((...parameters: Tensor[]) => {
      const [w1, g, b, w2, b2] = parameters;
      return loss(w1, g, b, w2, b2).asScalar();
    })([first, gamma, beta, second, bias]);
    return [value, ...grads];
  };
}

function size4(tensor: Tensor): [number, number, number, number] {
  const sizes: readonly number[] = tensor.shape;
  return [sizes[0], sizes[1], sizes[2], sizes[3]];
}
