import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '@lockstep/engine';
import type { LossContext } from '#src/define/definition.js';
import { dataOf, fails, firstGradient, lineLoss, lineTask, testEngine } from './line.fixture.js';

const engine = testEngine();
const { tf } = engine;
const recording =
  (loss: (context: LossContext) => unknown, replaced: Record<string, unknown> = {}) =>
  (): unknown =>
    firstGradient(engine, lineTask({ loss, ...replaced }));

test('gradient, loss and figures of a microbatch are those of the formula', () => {
  const task = lineTask();
  const [gradient, loss, distance] = firstGradient(engine, task);
  const [a, b, height] = task.initialWeights(0);
  const [x, y] = dataOf(task).prepare(0, 0, 0).inputs;
  const errors = [0, 1, 2].map((i) => a * x[2 * i] + b * x[2 * i + 1] + height - y[i]);
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const near = (actual: number, expected: number): void =>
    assert.ok(Math.abs(actual - expected) < 1e-4 * (1 + Math.abs(expected)), `${actual} ${expected}`);
  near(loss[0], mean(errors.map((error) => error * error)));
  near(distance[0], mean(errors.map(Math.abs)));
  near(gradient[0], mean(errors.map((error, i) => 2 * error * x[2 * i])));
  near(gradient[1], mean(errors.map((error, i) => 2 * error * x[2 * i + 1])));
  near(gradient[2], mean(errors.map((error) => 2 * error)));
});

test('the compiled gradient goes into its place, and leaves no tensor behind', () => {
  const task = lineTask();
  const { fn, specs, losses, figures, targets } = dataOf(task).gradient(engine);
  const before = tf.memory().numTensors;
  const compiled = compile(engine, fn, specs);
  const into = new Float32Array(3);
  const inputs = [task.initialWeights(0), ...dataOf(task).prepare(0, 0, 0).inputs];
  const outputs = compiled.run(inputs, targets(into));
  const eager = firstGradient(engine, task);
  into.forEach((value, i) => assert.ok(Math.abs(value - eager[0][i]) < 1e-4));
  assert.deepEqual([losses, figures], [1, [2]]);
  assert.ok(outputs[2][0] > 0);
  compiled.dispose();
  assert.equal(tf.memory().numTensors, before);
});

test('a loss that does not use a parameter is an error that names it', () => {
  fails(
    recording(({ weights, inputs }) => ({ loss: inputs.x.matMul(weights.slope).mean() }), { figures: [] }),
    'E_TASK_LOSS',
    /loss of .*line.mjs does not depend on height: use it, or leave it out/,
  );
  fails(
    recording(({ inputs }) => ({ loss: inputs.y.mean() }), { figures: [] }),
    'E_TASK_LOSS',
    /does not depend on slope, height/,
  );
});

test('what loss returns is a scalar of float32, with the figures that create names', () => {
  const wrong = (change: (result: ReturnType<typeof lineLoss>) => unknown) =>
    recording((context) => change(lineLoss(context)));
  fails(
    recording(() => undefined),
    'E_TASK_LOSS',
    /what loss returns is missing: it must be an object/,
  );
  fails(
    recording(async (context) => lineLoss(context)),
    'E_TASK_LOSS',
    /what loss returns is a promise: its function must be synchronous/,
  );
  fails(
    wrong(({ figures }) => ({ figures, loss: 3 })),
    'E_TASK_LOSS',
    /what loss returns.loss is 3: it must be a tensor/,
  );
  fails(
    recording(({ weights, inputs }) => ({ loss: inputs.x.matMul(weights.slope).add(weights.height) }), { figures: [] }),
    'E_TASK_LOSS',
    /a loss of shape \[3,1\], not one number: take tf.mean of it/,
  );
  fails(
    wrong(({ loss }) => ({ loss })),
    'E_TASK_LOSS',
    /loss returns no figure distance, which create names/,
  );
  fails(
    wrong(({ loss, figures }) => ({ loss, figures: { ...figures, more: loss } })),
    'E_TASK_LOSS',
    /the figure more, which create does not name/,
  );
  fails(
    wrong(({ loss }) => ({ loss, figures: { distance: tf.cast(loss, 'int32') } })),
    'E_TASK_LOSS',
    /a figure distance of int32: cast it/,
  );
});

test('a parameter or an input that there is not is an error that says which there are', () => {
  fails(
    recording(({ weights }) => ({ loss: weights.slopes })),
    'E_TASK_LOSS',
    /weights\["slopes"\] is not there: there are slope, height/,
  );
  fails(
    recording(({ inputs }) => ({ loss: inputs.z })),
    'E_TASK_LOSS',
    /inputs\["z"\] is not there: there are x, y/,
  );
});

test('what loss throws, or tfjs while it takes the gradient, is said with the function', () => {
  fails(
    recording(({ weights, inputs }) => ({ loss: inputs.x.matMul(weights.slope, true) })),
    'E_TASK_LOSS',
    /loss of .* threw Error: [^]*Matrix size-incompatible: In\[0\]: \[3,2\]/,
  );
  fails(
    recording(
      ({ weights, inputs }) => ({ loss: tf.topk(inputs.x.matMul(weights.slope).add(weights.height), 1).values.mean() }),
      {
        figures: [],
      },
    ),
    'E_TASK_LOSS',
    /threw Error: Cannot compute gradient: gradient function not found for TopK/,
  );
});
