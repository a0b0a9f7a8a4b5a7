import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBinding, type Tensor } from '#src/device/binding.js';
import { compile } from '#src/program/compile.js';
import { testEngine } from '../engine.fixture.js';
import type { EngineErrorCode } from '@lockstep/base';
import { EngineError } from '#src/errors.js';
import { trace, type TensorFunction } from '#src/record/trace.js';

const engine = testEngine();
const { tf } = engine;
const VECTOR = { shape: [4], dtype: 'float32' } as const;
const FLOAT = { kind: 'type', value: 'float32' } as const;
const counts = () => [tf.memory().numTensors, engine.backend.binding.getNumOfTensors()];

function refuses(fn: TensorFunction, code: EngineErrorCode, words: RegExp): void {
  assert.throws(
    () => trace(engine, fn, [VECTOR]),
    (error) => {
      assert.ok(error instanceof EngineError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      return true;
    },
  );
}

test('a value that is computed and read on the host is an error that names the op', () => {
  refuses(([x]) => [tf.add(x, tf.softplus(x).dataSync()[0])], 'E_ENGINE_HOST_READ', /value of Softplus/);
  refuses(([x]) => [tf.add(x, tf.softplus(x).arraySync())], 'E_ENGINE_HOST_READ', /value of Softplus/);
  refuses(([x]) => [tf.add(x, x.dataSync()[0])], 'E_ENGINE_HOST_READ', /value of input 0/);
  refuses(
    ([x]) => {
      tf.exp(x).print();
      return [tf.neg(x)];
    },
    'E_ENGINE_HOST_READ',
    /value of Exp/,
  );
});

test('a read whose error the function catches, or loses in a promise, still fails the recording', () => {
  const swallow = ([x]: Tensor[]): Tensor[] => {
    try {
      tf.exp(x).dataSync();
    } catch {
      // As a careless function does.
    }
    return [tf.neg(x)];
  };
  refuses(swallow, 'E_ENGINE_HOST_READ', /value of Exp/);
  const promise = ([x]: Tensor[]): Tensor[] => {
    void tf.exp(x).data();
    return [tf.neg(x)];
  };
  refuses(promise, 'E_ENGINE_HOST_READ', /value of Exp/);
});

test('what a function must return is a list of tensors of numbers that ops computed', () => {
  const outside = tf.tensor1d([1, 2, 3, 4]);
  const wrong = (value: unknown): TensorFunction => {
    const fn: unknown = () => value;
    return fn as TensorFunction;
  };
  refuses(() => [outside], 'E_ENGINE_OUTPUT', /output 0 is a constant/);
  refuses(() => [tf.scalar(1)], 'E_ENGINE_OUTPUT', /output 0 is a constant/);
  refuses(([x]) => [tf.greater(x, 0)], 'E_ENGINE_OUTPUT', /output 0 is bool/);
  refuses(wrong(Promise.resolve([])), 'E_ENGINE_OUTPUT', /async/);
  refuses(wrong(outside), 'E_ENGINE_OUTPUT', /list of tensors/);
  refuses(wrong(undefined), 'E_ENGINE_OUTPUT', /list of tensors/);
  outside.dispose();
});

test('numbers drawn inside are an error wherever tfjs draws them, but for those of a seed', () => {
  const draws: ((x: Tensor) => Tensor)[] = [
    () => tf.randomNormal([4]),
    () => tf.randomUniform([4]),
    () => tf.randomUniformInt([1], 0, 2),
    () => tf.truncatedNormal([4]),
    () => tf.randomGamma([4], 2),
    (x) => tf.dropout(x, 0.5),
    (x) => tf.mul(x, Math.random()),
  ];
  for (const draw of draws) refuses(([x]) => [tf.add(x, draw(x))], 'E_ENGINE_IMPURE', /Math\.random/);
  const seeded = trace(engine, ([x]) => [tf.add(x, tf.randomNormal([4], 0, 1, 'float32', 7))], [VECTOR]);
  const again = trace(engine, ([x]) => [tf.add(x, tf.randomNormal([4], 0, 1, 'float32', 7))], [VECTOR]);
  assert.deepEqual(again.savedModel, seeded.savedModel);
  assert.ok(Math.random() < 1, 'Math.random is itself again');
});

test('an op of TensorFlow that draws or prints by itself is an error that names it', () => {
  refuses(
    ([x]) => [tf.add(x, tf.multinomial(tf.tensor1d([0.5, 0.5]), 4, 1))],
    'E_ENGINE_UNSUPPORTED',
    /op Multinomial /,
  );
  const draw = (): Tensor =>
    engine.kernel(
      'RandomStandardNormal',
      { dtype: FLOAT, T: { kind: 'type', value: 'int32' }, seed: { kind: 'int', value: 1 } },
      [tf.tensor1d([4], 'int32')],
    );
  refuses(([x]) => [tf.add(x, draw())], 'E_ENGINE_UNSUPPORTED', /op RandomStandardNormal /);
  refuses(([x]) => [tf.cast(engine.kernel('Where', { T: FLOAT }, [x]), 'int32')], 'E_ENGINE_UNSUPPORTED', /op Where /);
  refuses(([x]) => [tf.unique(x).values], 'E_ENGINE_UNSUPPORTED', /op UniqueV2 /);
  refuses(
    ([x]) => [engine.kernel('AsString', { T: FLOAT }, [x])],
    'E_ENGINE_UNSUPPORTED',
    /op AsString makes a string/,
  );
});

test('a function that does not do the same twice is an error that names the first op or constant that differs', () => {
  let calls = 0;
  refuses(
    ([x]) => [tf.mul(tf.exp(x), tf.tensor1d([1, 2, 3, calls++]))],
    'E_ENGINE_IMPURE',
    /a constant of float32 \[4\], used by op Mul, has other values/,
  );
  refuses(
    ([x]) => [tf.exp(calls++ % 2 === 0 ? tf.sin(x) : tf.cos(x))],
    'E_ENGINE_IMPURE',
    /op (Sin|Cos) comes the first/,
  );
  refuses(
    ([x]) => [tf.sum(tf.reshape(x, [2, 2]), calls++ % 2)],
    'E_ENGINE_IMPURE',
    /a constant of int32 \[1?\], used by op Sum/,
  );
  let more = true;
  refuses(
    ([x]) => {
      const y = tf.exp(x);
      if (more) tf.tan(x);
      more = !more;
      return [y];
    },
    'E_ENGINE_IMPURE',
    /op Tan comes the first time/,
  );
});

test('a second run computes nothing that depends on inputs', () => {
  const { binding } = engine.backend;
  const ran: string[] = [];
  // Its properties cannot be written, so a copy stands in.
  const noting: unknown = Object.create(null, {
    ...Object.getOwnPropertyDescriptors(binding),
    executeOp: {
      enumerable: true,
      value: (...call: Parameters<typeof binding.executeOp>) => {
        ran.push(call[0]);
        return binding.executeOp(...call);
      },
    },
  });
  assert.ok(isBinding(noting));
  engine.backend.binding = noting;
  try {
    trace(engine, ([x]) => [tf.exp(tf.sin(x)), tf.mul(x, tf.exp(tf.tensor1d([1, 2, 3, 4])))], [VECTOR]);
  } finally {
    engine.backend.binding = binding;
  }
  assert.deepEqual(ran, ['Sin', 'Exp', 'Exp', 'Mul', 'Exp']);
});

test('a function that changes a variable, makes one, or reads one is refused, and the variable is as before', () => {
  const variable = tf.variable(tf.tensor([1, 2, 3, 4]));
  const optimizer = tf.train.sgd(1);
  const names = Object.keys(tf.engine().registeredVariables);
  const before = counts();
  refuses(
    ([x]) => {
      variable.assign(tf.neg(x));
      return [tf.exp(x)];
    },
    'E_ENGINE_SIDE_EFFECT',
    /assigns/,
  );
  refuses(
    ([x]) => {
      optimizer.applyGradients([{ name: variable.name, tensor: x }]);
      return [tf.exp(x)];
    },
    'E_ENGINE_UNSUPPORTED',
    /reads a tf\.Variable/,
  );
  refuses(([x]) => [tf.variable(tf.neg(x))], 'E_ENGINE_SIDE_EFFECT', /makes a tf\.Variable/);
  refuses(([x]) => [tf.add(x, variable)], 'E_ENGINE_UNSUPPORTED', /reads a tf\.Variable/);
  refuses(([x]) => [tf.add(x, tf.clone(variable))], 'E_ENGINE_UNSUPPORTED', /reads a tf\.Variable/);
  refuses(([x]) => [tf.add(x, variable.dataSync()[0])], 'E_ENGINE_UNSUPPORTED', /reads a tf\.Variable/);
  assert.deepEqual([...variable.dataSync()], [1, 2, 3, 4]);
  assert.deepEqual(Object.keys(tf.engine().registeredVariables), names);
  assert.deepEqual(counts()[0], before[0]);
  variable.assign(tf.tensor([5, 6, 7, 8]));
  assert.deepEqual([...variable.dataSync()], [5, 6, 7, 8]);
  variable.dispose();
  optimizer.dispose();
});

test('a function that keeps a tensor of its own, or disposes of one from outside, is refused', () => {
  const kept: Tensor[] = [];
  refuses(
    ([x]) => {
      kept.push(tf.keep(tf.exp(x)));
      return [tf.neg(x)];
    },
    'E_ENGINE_SIDE_EFFECT',
    /keeps a tensor of Exp/,
  );
  tf.dispose(kept);
  const outside = tf.tensor1d([1, 2, 3, 4]);
  refuses(
    ([x]) => {
      const y = tf.add(x, outside);
      outside.dispose();
      return [y];
    },
    'E_ENGINE_SIDE_EFFECT',
    /disposes/,
  );
});

test('a saved model run inside, and compiling inside, are refused', () => {
  refuses(
    ([x]) => {
      engine.backend.binding.runSavedModel(0, [], '', '');
      return [x];
    },
    'E_ENGINE_UNSUPPORTED',
    /runSavedModel\(\)/,
  );
  refuses(
    ([x]) => {
      compile(engine, ([y]) => [y], [VECTOR]);
      return [x];
    },
    'E_ENGINE_RECORDING',
    /inside/,
  );
});

test('a captured tensor is said, a function of inputs and numbers captures nothing', () => {
  const scale = tf.tensor2d([[1], [2]]);
  const outer = ([x]: Tensor[]): Tensor[] => [tf.mul(tf.mul(scale, tf.tensor1d([3])), x)];
  // The first time its numbers are still on the host, then no more.
  const [first, second] = [trace(engine, outer, [VECTOR]), trace(engine, outer, [VECTOR])];
  assert.equal(first.captured, 'a tensor of float32 [2,1]');
  assert.deepEqual(second, first);
  const read = ([x]: Tensor[]): Tensor[] => [tf.mul(x, scale.dataSync()[1])];
  assert.equal(trace(engine, read, [VECTOR]).captured, 'a value read on the host');
  assert.equal(trace(engine, ([x]) => [tf.mul(x, tf.tensor1d([2]))], [VECTOR]).captured, null);
  scale.dispose();
});

test('refused or not, a recording leaves no tensor behind, and tfjs as it was', () => {
  const before = counts();
  const keys = Reflect.ownKeys(engine.backend);
  const own = () => [
    Object.getOwnPropertyDescriptor(tf.Variable.prototype, 'assign'),
    Object.getOwnPropertyDescriptor(Math, 'random'),
  ];
  const descriptors = own();
  trace(engine, ([x]) => [tf.exp(x)], [VECTOR]);
  refuses(() => [tf.randomNormal([4])], 'E_ENGINE_IMPURE', /./);
  assert.deepEqual(counts(), before);
  assert.deepEqual(Reflect.ownKeys(engine.backend), keys);
  assert.deepEqual(own(), descriptors);
  assert.equal(Object.hasOwn(tf.engine(), 'makeVariable'), false);
});
