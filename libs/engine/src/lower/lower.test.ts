/** What becomes of a graph: which instructions are left of it, and where their results lie. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPlacement } from './check.fixture.js';
import { interpret } from './interpreter.fixture.js';
import { assertSame, namesOf, programOf } from './lowered.fixture.js';
import { NET_SPECS, netInputs, netStep, numbersOf, testEngineOf } from '../engine.fixture.js';
import type { Tensor } from '#src/device/binding.js';
import { encodeProgram } from '#src/lower/encode.js';
import { lower, placeGraph } from '#src/lower/lower.js';
import { describe } from '#src/record/graph.js';
import type { Stages } from '#src/record/stages.js';
import type { TensorSpec } from '#src/record/tensor-spec.js';
import { trace, type TensorFunction } from '#src/record/trace.js';

const engine = testEngineOf({ engine: 'program' });
const { tf } = engine;
const float = (...shape: number[]): TensorSpec => ({ shape, dtype: 'float32' });

function names(fn: TensorFunction, specs: readonly TensorSpec[], stages?: Stages): string[] {
  return namesOf(programOf(engine, fn, specs, stages));
}

function uncovered(fn: TensorFunction, specs: readonly TensorSpec[]): readonly string[] {
  const lowered = lower(trace(engine, fn, specs).savedModel);
  return 'uncovered' in lowered ? lowered.uncovered : [];
}

test('tensors seen in another way take no instruction, and outputs are written where they belong', () => {
  const views: TensorFunction = ([flat, x]) => {
    const [first, second] = tf.split(flat, [6, 8]);
    const matrix = tf.reshape(first, [2, 3]);
    const scale = tf.squeeze(tf.expandDims(tf.slice(second, [2], [3]), 0));
    return [tf.mul(tf.transpose(tf.cast(x, 'float32')), tf.add(matrix, scale)), tf.exp(tf.transpose(x))];
  };
  assert.deepEqual(names(views, [float(14), float(3, 2)]), ['add', 'mul', 'exp', 'copy']);
});

test('what nobody needs is not computed', () => {
  const fn: TensorFunction = ([x]) => {
    tf.sin(tf.exp(x));
    return [tf.cos(x)];
  };
  assert.deepEqual(names(fn, [float(3)]), ['cos']);
});

test('gradients are written to their places in one flat output', () => {
  const fn: TensorFunction = ([x, w]) => {
    const loss = (a: Tensor, b: Tensor): Tensor => tf.mean(tf.square(tf.matMul(a, b)));
    const [dx, dw] = tf.grads(loss)([x, w]);
    return [tf.concat([tf.reshape(dx, [-1]), tf.reshape(dw, [-1])])];
  };
  const program = programOf(engine, fn, [float(3, 4), float(4, 5)]);
  assert.ok(!namesOf(program).includes('copy'), namesOf(program).join());
  const places = program.instructions.slice(-2).map(({ operands }) => program.buffers[operands[3]]);
  assert.deepEqual(
    places.sort((a, b) => a.offset - b.offset),
    [
      { space: 4, offset: 0 },
      { space: 4, offset: 12 },
    ],
  );
});

test('a bias goes into the product that it is added to, unless the product is read elsewhere', () => {
  const specs = [float(3, 4), float(4, 5), float(5)];
  assert.deepEqual(
    names(([a, b, bias]) => [tf.relu(tf.add(tf.matMul(a, b), bias))], specs),
    ['matmul', 'relu'],
  );
  const both: TensorFunction = ([a, b, bias]) => {
    const product = tf.matMul(a, b);
    return [tf.add(product, bias), product];
  };
  assert.deepEqual(names(both, specs).sort(), ['add', 'matmul']);
  const later: TensorFunction = ([a, b, bias]) => {
    const product = tf.matMul(a, b);
    return [tf.add(product, tf.exp(bias))];
  };
  assert.deepEqual(names(later, specs), ['matmul', 'exp', 'add']);
});

test('a tensor that is an output twice, or that was an input, is copied', () => {
  const fn: TensorFunction = ([x]) => {
    const y = tf.exp(x);
    return [y, y, tf.reshape(x, [3, 1])];
  };
  assert.deepEqual(names(fn, [float(3)]), ['exp', 'copy', 'copy']);
});

test('what a later stage reads does not lie in an output of an earlier one, which its taker may write to', () => {
  const fn: TensorFunction = ([x]) => {
    const y = tf.exp(x);
    return [y, tf.sin(y), tf.cos(x)];
  };
  const x = numbersOf(3, 1);
  const stages = [[0, 2], [1]];
  const program = programOf(engine, fn, [float(3)], stages);
  assert.deepEqual(namesOf(program), ['exp', 'cos', 'copy', 'sin']);
  assert.deepEqual(program.stageEnds, [3, 4]);
  const targets: number[] = [];
  const [first, second] = interpret(program, [x], (stage) => targets.push(stage));
  assert.deepEqual(targets, [0, 1]);
  assert.deepEqual(first, x.map(Math.exp));
  assert.deepEqual(
    second,
    first.map((value) => Math.sin(value)),
  );
  assert.deepEqual(names(fn, [float(3)]), ['exp', 'sin', 'cos']);
});

test('each step of a chain is written over the one before it', () => {
  const fn: TensorFunction = ([x]) => [tf.sum(tf.exp(tf.neg(tf.mul(tf.sin(tf.square(x)), 3))))];
  const { info, arena } = programOf(engine, fn, [float(1000)]);
  assert.equal(arena, 1008);
  assert.deepEqual(info.peak, { planned: 4 * 1008, withoutReuse: 4 * 5 * 1008 });
});

test('a value that is read in another order than it is written is not written over', () => {
  const fn: TensorFunction = ([x]) => {
    const y = tf.exp(x);
    return [tf.sum(tf.mul(y, tf.transpose(y)))];
  };
  const { arena } = programOf(engine, fn, [float(4, 4)]);
  assert.equal(arena, 32);
});

test('arithmetic on one number for all places is done once, and constants are known before', () => {
  const fn: TensorFunction = ([x, s]) => {
    const all = tf.mul(tf.add(tf.mul(tf.fill([4, 5], 2), -0.5), tf.ones([4, 5])), 3);
    return [tf.mul(tf.add(x, all), tf.exp(tf.broadcastTo(s, [4, 5])))];
  };
  const program = programOf(engine, fn, [float(4, 5), float(1)]);
  assert.deepEqual(namesOf(program), ['add', 'exp', 'mul']);
  assert.deepEqual(program.instructions[1].operands.slice(2), [1]);
});

test('every op that no kernel covers is named, and what about it', () => {
  const fn: TensorFunction = ([x]) => [
    tf.add(tf.atan(x), tf.asin(tf.atan(x))),
    tf.topk(x, 2).values,
    tf.conv3d(tf.tile(x, [9]).as5D(1, 3, 3, 3, 1), tf.ones([1, 1, 1, 1, 1]), 1, 'same'),
    tf.sum(x),
  ];
  assert.deepEqual(uncovered(fn, [float(3)]), [
    'Asin: no kernel',
    'Atan: no kernel',
    'Conv3D: no kernel',
    'TopKV2: no kernel',
  ]);
  const whole: TensorFunction = ([x]) => [tf.prod(x), tf.sign(x)];
  assert.deepEqual(uncovered(whole, [{ shape: [3], dtype: 'int32' }]), [
    'Prod: it is not of int32',
    'Sign: it is not of float32',
  ]);
  const backwards: TensorFunction = ([x]) => [tf.stridedSlice(x, [2], [0], [-1])];
  assert.deepEqual(uncovered(backwards, [float(3)]), ['StridedSlice: a step backwards']);
});

test('equal graphs have equal programs, and a network gives what it gives op by op', () => {
  const specs = NET_SPECS;
  const program = assertSame(engine, netStep(engine), specs, netInputs(3), 1e-5);
  assert.deepEqual(encodeProgram(programOf(engine, netStep(engine), specs)), encodeProgram(program));
});

/** A function of three inputs, drawn by a seed: ops on what was made before, of which some are outputs, in two stages. */
function drawn(seed: number): { fn: TensorFunction; specs: TensorSpec[]; stages: Stages } {
  const [rows, columns] = [2 + (seed % 4), 3 + (seed % 3)];
  const fn: TensorFunction = (inputs) => {
    const numbers = numbersOf(400, seed);
    let at = 0;
    const below = (count: number): number => Math.floor(((numbers[at++] + 1) / 2) * count);
    const made = [...inputs];
    const any = (): Tensor => made[below(made.length)];
    const square = (x: Tensor): Tensor => tf.slice(x, [0, 0], [Math.min(rows, columns), Math.min(rows, columns)]);
    const ops: ((x: Tensor) => Tensor)[] = [
      (x) => tf.add(x, any()),
      (x) => tf.mul(tf.tanh(x), tf.sigmoid(any())),
      (x) => tf.sub(x, tf.mean(any(), 1, true)),
      (x) => tf.add(x, tf.sum(any(), 0)),
      (x) => tf.tanh(tf.reshape(tf.transpose(x), x.shape)),
      (x) => tf.tanh(tf.matMul(tf.matMul(x, any(), false, true), any())),
      (x) => tf.slice(tf.concat([x, any()], below(2)), [0, 0], [rows, columns]),
      (x) =>
        tf.add(tf.concat([tf.slice(x, [1, 0], [rows - 1, columns]), tf.slice(any(), [0, 0], [1, columns])]), any()),
      (x) => tf.where(tf.greater(x, any()), x, tf.neg(any())),
      (x) =>
        tf.pad(square(x), [
          [0, rows - Math.min(rows, columns)],
          [0, columns - Math.min(rows, columns)],
        ]),
      (x) => tf.softmax(tf.add(x, tf.transpose(tf.reshape(any(), [columns, rows])))),
    ];
    for (let count = 0; count < 24; count++) made.push(tf.tidy(() => ops[below(ops.length)](any())));
    const flat = (tensor: Tensor): Tensor => tf.reshape(tensor, [-1]);
    const last = made.slice(-6);
    return [
      tf.concat(last.slice(0, 3).map(flat)),
      tf.sum(tf.abs(any())),
      tf.concat([...last.slice(3).map(flat), flat(tf.exp(tf.neg(any())))]),
    ];
  };
  return { fn, specs: [float(rows, columns), float(rows, columns), float(rows, columns)], stages: [[0, 1], [2]] };
}

test('drawn graphs give what they give op by op, with plans that hold', () => {
  for (let seed = 0; seed < 24; seed++) {
    const { fn, specs, stages } = drawn(seed);
    const inputs = specs.map(({ shape: [rows, columns] }, index) => numbersOf(rows * columns, 100 * seed + index));
    const program = assertSame(engine, fn, specs, inputs, 1e-4, stages);
    assert.ok(program.info.peak.planned < program.info.peak.withoutReuse);
  }
});

test('the check of a plan finds values that lie on each other', () => {
  const { fn, specs, stages } = drawn(5);
  const placed = placeGraph(describe(trace(engine, fn, specs, { stages }).savedModel), stages);
  assert.ok('steps' in placed);
  checkPlacement(placed);
  let found = 0;
  for (const storage of placed.starts.keys()) {
    const starts = new Map(
      [...placed.starts].map(([one, start]) => [one, one === storage ? (start + 16) % placed.arena : start]),
    );
    try {
      checkPlacement({ ...placed, starts, arena: placed.arena + 16 });
    } catch (error) {
      assert.ok(error instanceof assert.AssertionError);
      found++;
    }
  }
  assert.ok(found > placed.starts.size / 2, `${found} of ${placed.starts.size}`);
});
