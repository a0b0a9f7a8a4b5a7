/** The examples, in short: each is a task whose loss falls, and whose gradient has the same bits whoever compiles it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compile } from '@lockstep/engine';
import { loadTask } from '#src/load/load-task.js';
import { adamStep, globalNorm } from '#src/optimizer/optimizer.js';
import { initialState } from '#src/state.js';
import { testEngine } from './line.fixture.js';

const engine = testEngine();
const EXAMPLES = [
  { name: 'mnist-classifier', choice: { width: 2, steps: 24, warmupSteps: 2 }, figure: 'accuracy' },
  {
    name: 'char-lm',
    choice: { context: 16, width: 16, layers: 1, heads: 2, steps: 24, warmupSteps: 2 },
    figure: 'right',
  },
];

for (const { name, choice, figure } of EXAMPLES)
  test(`${name}: its gradient is a program whose loss falls, and two compilations of it give the same bits`, async () => {
    const { module } = await loadTask(fileURLToPath(new URL(`../../../../examples/${name}/task.mjs`, import.meta.url)));
    const task = module.begin?.(choice);
    assert.ok(task !== undefined);
    assert.deepEqual(module.create(task.recipe).recipe, task.recipe);
    const data = await task.open(null, 'train');
    assert.ok((await task.open(null, 'test')).count > task.microbatchSize);
    assert.deepEqual(data.figures, [figure]);
    const { fn, specs, losses, targets } = data.gradient(engine);
    const [first, second] = [compile(engine, fn, specs), compile(engine, fn, specs)];
    assert.deepEqual(first.info.uncovered, []);
    assert.equal(first.info.runsOn, 'program');
    const state = initialState(task, 0);
    const [gradient, other] = [new Float32Array(state.weights.length), new Float32Array(state.weights.length)];
    const seen: number[] = [];
    for (let step = 0; step < task.steps; step++) {
      const inputs = [state.weights, ...data.prepare(0, step, 0).inputs];
      const outputs = first.run(inputs, targets(gradient));
      second.run(inputs, targets(other));
      assert.deepEqual(other, gradient);
      seen.push(outputs[losses][0]);
      adamStep(state, gradient, task.updateAt(step, globalNorm(gradient)));
    }
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    const [early, late] = [mean(seen.slice(0, 4)), mean(seen.slice(-4))];
    assert.ok(late < 0.9 * early, `${early} to ${late}`);
    first.dispose();
    second.dispose();
  });
