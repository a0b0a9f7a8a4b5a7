import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, type Compiled } from '@lockstep/engine';
import { tryGradient } from '#src/trial.js';
import type { LossContext } from '#src/define/definition.js';
import { dataOf, fails, lineTask, testEngine } from './define/line.fixture.js';

const engine = testEngine();

/** Tries a task with this loss; `run` may stand between the trial and the compiled function. */
function tried(
  replaced: Record<string, unknown>,
  around: (run: Compiled['run']) => Compiled['run'] = (run) => run,
): void {
  const task = lineTask({ figures: [], ...replaced });
  const data = dataOf(task);
  const gradient = data.gradient(engine);
  const compiled = compile(engine, gradient.fn, gradient.specs);
  try {
    tryGradient(task, task.initialWeights(0), data, gradient, { run: around(compiled.run.bind(compiled)) });
  } finally {
    compiled.dispose();
  }
}

const predicted = ({ weights, inputs }: LossContext) => inputs.x.matMul(weights.slope).add(weights.height);

test('a gradient with the same finite numbers each time passes', () => {
  tried({ loss: (context: LossContext) => ({ loss: predicted(context).square().mean() }) });
});

test('a loss that is not a number for the first weights is an error that says where to look', () => {
  fails(
    () => tried({ loss: (context: LossContext) => ({ loss: predicted(context).sub(1000).log().mean() }) }),
    'E_TASK_LOSS',
    /the loss of line is NaN, not a finite number/,
  );
});

test('a gradient that is not finite though the loss is names the parameter', () => {
  const loss = (context: LossContext) => ({
    loss: predicted(context).square().mean().add(context.weights.height.sqrt().sum()),
  });
  fails(() => tried({ loss }), 'E_TASK_LOSS', /the gradient of line by height is not finite/);
});

test('a gradient that differs by one bit the second time is refused, with the parameter', () => {
  let calls = 0;
  const flipping =
    (run: Compiled['run']): Compiled['run'] =>
    (inputs, targets, onStage) => {
      const outputs = run(inputs, targets, onStage);
      const words = new Uint32Array(outputs[0].buffer);
      if (calls++ === 1) words[2] ^= 1;
      return outputs;
    };
  fails(
    () => tried({ loss: (context: LossContext) => ({ loss: predicted(context).square().mean() }) }, flipping),
    'E_TASK_IMPURE',
    /the gradient by height of line, computed twice from the same numbers, differs/,
  );
  assert.equal(calls, 2);
});
