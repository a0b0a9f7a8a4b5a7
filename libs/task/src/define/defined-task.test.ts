import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '@lockstep/base';
import type { OpenContext, SampleContext } from '#src/define/definition.js';
import { DefinedTask, definedModule } from '#src/define/defined-task.js';
import { dataOf, fails, FILE, lineBody, lineDefinition, lineTask, POINTS, testEngine } from './line.fixture.js';

test('a definition is a task: sizes, table, weights of the seed, update', () => {
  const task = lineTask({ optimizer: { learningRate: 0.1, warmupSteps: 2, maxGradientNorm: 1, ema: 0.9 } });
  assert.deepEqual([task.name, task.steps, task.globalBatch, task.microbatchSize], ['line', 4, 6, 3]);
  assert.deepEqual(task.table, [
    { name: 'slope', shape: [2, 1], offset: 0, size: 2 },
    { name: 'height', shape: [1], offset: 2, size: 1 },
  ]);
  assert.deepEqual(task.initialWeights(1), task.initialWeights(1));
  assert.notDeepEqual(task.initialWeights(1), task.initialWeights(2));
  assert.equal(task.initialWeights(1)[2], 0);
  assert.deepEqual(task.updateAt(0, 4), {
    learningRate: 0.05,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    step: 0,
    clipScale: 0.25,
    emaDecay: task.updateAt(0, 0).emaDecay,
  });
  assert.equal(task.updateAt(0, 0.5).clipScale, 1);
});

test('microbatches are an eighth of the step where nothing is said, or all of it where that does not divide', () => {
  assert.equal(lineTask({ globalBatch: 64, microbatchSize: undefined }).microbatchSize, 8);
  assert.equal(lineTask({ globalBatch: 6, microbatchSize: undefined }).microbatchSize, 6);
});

const withOptions = (given: JsonObject) =>
  definedModule(
    {
      name: 'line',
      options: { steps: 9, kind: 'wide', fast: false },
      create: ({ options }: { options: Record<string, unknown> }) =>
        lineBody({ steps: options['steps'], figures: [`${String(options['kind'])} ${String(options['fast'])}`] }),
    },
    FILE,
  ).begin?.(given);

test('options take the type of their defaults, and a recipe gives the same task again', () => {
  const task = withOptions({ steps: '12', kind: 'tall', fast: 'true', globalBatch: 12 });
  assert.deepEqual([task?.steps, task?.globalBatch], [12, 12]);
  assert.deepEqual(task?.recipe, { options: { steps: 12, kind: 'tall', fast: true }, given: { globalBatch: 12 } });
  assert.equal(withOptions({})?.steps, 9);
  const module = definedModule(lineDefinition(), FILE);
  const changed = module.changed?.(module.create({ options: {}, given: { steps: 7 } }).recipe, { learningRate: 1 });
  assert.deepEqual([changed?.steps, changed?.updateAt(0, 0).learningRate], [7, 1]);
});

test('an option that there is not, or a value that it cannot have, is said with what there is', () => {
  fails(() => withOptions({ width: 3 }), 'E_TASK_OPTION', /no option width: its options are steps, kind, fast/);
  fails(() => withOptions({ steps: 'many' }), 'E_TASK_OPTION', /option steps is "many": use a number, as 9/);
  fails(() => withOptions({ fast: 'yes' }), 'E_TASK_OPTION', /option fast is "yes": use true or false, as false/);
});

test('what is wrong in the default export or in what create returns is named with its place', () => {
  const module = (value: object) => () => definedModule(value, FILE);
  fails(module({ name: 'x' }), 'E_TASK_MODULE', /create is missing: it must be a function/);
  fails(module({ name: '', create: () => null }), 'E_TASK_MODULE', /name is ""/);
  fails(module({ name: 'x', create: () => null, options: { a: [] } }), 'E_TASK_MODULE', /options.a is \[\]/);
  const body = (replaced: Record<string, unknown>) => () => lineTask(replaced);
  const create = (value: unknown) => () => definedModule({ name: 'x', create: () => value }, FILE).create({});
  fails(create(undefined), 'E_TASK_CREATE', /what create of .*line.mjs returns is missing: it must be an object/);
  fails(create(Promise.resolve({})), 'E_TASK_CREATE', /returns is a promise: its function must be synchronous/);
  fails(body({ steps: 0 }), 'E_TASK_CREATE', /returns.steps is 0: use a number from 1/);
  fails(body({ steps: 1.5 }), 'E_TASK_CREATE', /returns.steps is 1.5: use a whole number/);
  fails(body({ microbatchSize: 4 }), 'E_TASK_CREATE', /microbatches of 4 do not divide a global batch of 6/);
  fails(body({ optimizer: {} }), 'E_TASK_CREATE', /optimizer.learningRate is missing/);
  fails(body({ loss: 3 }), 'E_TASK_CREATE', /returns.loss is 3: it must be a function/);
  const one = (parameter: object) => body({ parameters: [parameter] });
  fails(one({ shape: [1], init: 'zeros' }), 'E_TASK_CREATE', /parameters\[0\].name is missing/);
  fails(one({ name: 'a', shape: [0], init: 'zeros' }), 'E_TASK_CREATE', /parameters\[0\].shape\[0\] is 0/);
  fails(one({ name: 'a', shape: 3, init: 'zeros' }), 'E_TASK_CREATE', /parameters\[0\].shape is 3: it must be a list/);
  fails(one({ name: 'a', shape: [1], init: 'random' }), 'E_TASK_CREATE', /init is "random": use one of "zeros"/);
  fails(one({ name: 'a', shape: [1], init: {} }), 'E_TASK_CREATE', /init is an object: use zeros, ones/);
  const twice = { name: 'a', shape: [1], init: 'zeros' };
  fails(body({ parameters: [twice, twice] }), 'E_TASK_CREATE', /parameters has the name "a" twice/);
  fails(body({ figures: ['a', 'a'] }), 'E_TASK_CREATE', /figures has the name "a" twice/);
  const many = Array.from({ length: 65 }, (_, index) => `figure ${index}`);
  fails(body({ figures: many }), 'E_TASK_CREATE', /figures is .*: name at most 64/);
});

test('what create or open throws is said with the function and the line', () => {
  const create = (): never => {
    throw new RangeError('no such width');
  };
  fails(
    () => definedModule({ name: 'x', create }, import.meta.filename).create({}),
    'E_TASK_CREATE',
    /^create of .*defined-task.test.js threw RangeError: no such width, in line \d+, column \d+$/,
  );
  const open = (): never => {
    throw new TypeError('no data');
  };
  fails(() => dataOf(lineTask({ open })), 'E_TASK_OPEN', /open of .* threw TypeError: no data/);
});

test('a task without test data says so', () => {
  const task = lineTask({ open: ({ split }: OpenContext) => (split === 'train' ? POINTS : null) });
  assert.equal(dataOf(task).count, 10);
  fails(() => task.open(null, 'test'), 'E_TASK_CANNOT', /line has no test data/);
  fails(() => dataOf(lineTask({ open: () => null })), 'E_TASK_OPEN', /what open of .* returns is null/);
});

test('a promise of open is waited for, what it rejects with is told', async () => {
  const opened = (open: () => unknown) => Promise.resolve(lineTask({ open }).open(null, 'train'));
  assert.equal((await opened(() => Promise.resolve(POINTS))).count, 10);
  await assert.rejects(
    opened(() => Promise.reject(new Error('gone'))),
    { code: 'E_TASK_OPEN', message: /open of .* threw Error: gone/ },
  );
});

test('what sample returns is what is printed, with the same random numbers for the same seed', async () => {
  const module = (sample: unknown) => {
    const task = definedModule(lineDefinition({ sample }), FILE).create({});
    assert.ok(task instanceof DefinedTask);
    return task;
  };
  const engine = testEngine();
  const weights = Float32Array.of(1, 2, 3);
  const wish = { seed: 4, prompt: 'from' };
  const drawn = module(({ weights: named, random, prompt }: SampleContext) =>
    [prompt, random.integer(100), named.slope.sum().dataSync()[0]].join(' '),
  );
  const before = engine.tf.memory().numTensors;
  const text = await drawn.sample(engine, weights, wish);
  assert.match(text, /^from \d+ 3$/);
  assert.equal(await drawn.sample(engine, weights, wish), text);
  await assert.rejects(module(undefined).sample(engine, weights, wish), { code: 'E_TASK_CANNOT' });
  await assert.rejects(module(() => 3).sample(engine, weights, wish), {
    code: 'E_TASK_SAMPLE',
    message: /what sample of .* returns is 3: it must be a text/,
  });
  await assert.rejects(
    module(({ weights: named }: SampleContext) => named.slopes.toString()).sample(engine, weights, wish),
    { code: 'E_TASK_SAMPLE', message: /weights\["slopes"\] is not there/ },
  );
  // The author's own sum is not ours to free.
  assert.equal(engine.tf.memory().numTensors, before + 2);
});
