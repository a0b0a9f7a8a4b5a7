import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tensor } from '#src/device/binding.js';
import { compile } from '#src/program/compile.js';
import type { TensorSpec } from '#src/record/tensor-spec.js';
import { assertClose, testEngine } from '../engine.fixture.js';

const engine = testEngine();
const { tf } = engine;
const TABLE: TensorSpec = { shape: [3, 2], dtype: 'float32' };
const table = Float32Array.of(1, 2, 3, 4, 5, 6);

/** Value and gradient of the sum of `fn`, compiled. */
function compiled(fn: (x: Tensor, index: Tensor) => Tensor, index: Int32Array): { value: number; gradient: number[] } {
  const step = ([x, at]: Tensor[]): Tensor[] => {
    const { value, grad } = tf.valueAndGrad((input: Tensor) => tf.sum(fn(input, at)))(x);
    return [value, grad];
  };
  const graph = compile(engine, step, [TABLE, { shape: [index.length], dtype: 'int32' }]);
  const [value, gradient] = graph.run([table, index]);
  graph.dispose();
  return { value: value[0], gradient: [...gradient] };
}

test('rows gathered by indices that are an input are compiled, and their gradient goes to the rows', () => {
  const { value, gradient } = compiled((x, at) => tf.mul(tf.gather(x, at), [[1, 10]]), Int32Array.of(2, 0, 2));
  assertClose([value], [1 + 20 + 2 * (5 + 60)], 1e-6, 'value');
  assert.deepEqual(gradient, [1, 10, 0, 0, 2, 20]);
});

test('an index beyond the rows is an error when the graph runs', () => {
  const graph = compile(engine, ([x, at]) => [tf.gather(x, at)], [TABLE, { shape: [1], dtype: 'int32' }]);
  assert.throws(() => graph.run([table, Int32Array.of(3)]), /3 is not in \[0, 3\)/);
  graph.dispose();
});

test('columns are gathered along a later axis, and an axis is put in', () => {
  const { value, gradient } = compiled((x, at) => tf.squeeze(tf.expandDims(tf.gather(x, at, 1), 1)), Int32Array.of(1));
  assert.deepEqual([value, ...gradient], [12, 0, 1, 0, 1, 0, 1]);
});

test('a choice by a comparison of computed numbers has the gradient of what is chosen', () => {
  const { value, gradient } = compiled((x) => tf.where(tf.greater(x, 3), tf.mul(x, 10), x), Int32Array.of(0));
  assert.deepEqual([value, ...gradient], [6 + 150, 1, 1, 1, 10, 10, 10]);
});
