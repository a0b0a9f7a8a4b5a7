/** A task as small as one can be, a line through points, with parts of it replaced; and the engine that compiles it. */
import assert from 'node:assert/strict';
import { cacheDirectoryIn } from '@lockstep/config';
import {
  engineDirectory,
  engineEnvironment,
  loadEngine,
  runEager,
  type Engine,
  type TypedArray,
} from '@lockstep/engine';
import type { DataDefinition, LossContext, LossResult, TaskBody, TaskDefinition } from '#src/define/definition.js';
import { definedModule } from '#src/define/defined-task.js';
import type { TaskErrorCode } from '@lockstep/base';
import { TaskError } from '#src/errors.js';
import type { Task, TaskData } from '#src/task.js';

export const FILE = '/somewhere/line.mjs';

/** One thread, as a worker has. */
export function testEngine(): Engine {
  const setting = { device: 'cpu', threads: 1 } as const;
  Object.assign(process.env, engineEnvironment(setting));
  return loadEngine({ ...setting, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)) });
}

export const POINTS: DataDefinition = {
  count: 10,
  inputs: [
    { name: 'x', shape: [2], dtype: 'float32' },
    { name: 'y', shape: [], dtype: 'float32' },
  ],
  batch: (indices) => [
    Float32Array.from([...indices].flatMap((index) => [index / 10, 1 - index / 10])),
    Float32Array.from(indices, (index) => 3 * index),
  ],
};

export const lineLoss = ({ weights, inputs }: LossContext): LossResult => {
  const predicted = inputs.x.matMul(weights.slope).add(weights.height).reshape([-1]);
  const error = predicted.sub(inputs.y);
  return { loss: error.square().mean(), figures: { distance: error.abs().mean() } };
};

/** The body with parts replaced; `undefined` leaves a part out. */
export function lineBody(replaced: Readonly<Record<string, unknown>> = {}): TaskBody {
  return {
    steps: 4,
    globalBatch: 6,
    microbatchSize: 3,
    parameters: [
      { name: 'slope', shape: [2, 1], init: 'glorot-uniform' },
      { name: 'height', shape: [1], init: 'zeros' },
    ],
    optimizer: { learningRate: 0.1 },
    figures: ['distance'],
    open: () => POINTS,
    loss: lineLoss,
    ...replaced,
  };
}

export function lineDefinition(replaced: Readonly<Record<string, unknown>> = {}): TaskDefinition {
  return { name: 'line', create: () => lineBody(replaced) };
}

export function lineTask(replaced: Readonly<Record<string, unknown>> = {}): Task {
  return definedModule(lineDefinition(replaced), FILE).create({ options: {}, given: {} });
}

/** The data of a task that opens it at once. */
export function dataOf(task: Task): TaskData {
  const data = task.open(null, 'train');
  if (data instanceof Promise) throw new TypeError('the data comes later');
  return data;
}

/** What the gradient function gives for the first microbatch from the first weights, op by op. */
export function firstGradient(engine: Engine, task: Task): TypedArray[] {
  const data = dataOf(task);
  const { fn, specs } = data.gradient(engine);
  return runEager(engine, fn, specs, [task.initialWeights(0), ...data.prepare(0, 0, 0).inputs]);
}

/** That `run` throws this code, in words. */
export function fails(run: () => unknown, code: TaskErrorCode, words: RegExp): void {
  assert.throws(run, (error) => {
    assert.ok(error instanceof TaskError, String(error));
    assert.deepEqual([error.code, words.test(error.text)], [code, true], error.message);
    return true;
  });
}
