import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calling, Found, shown, within } from '#src/define/checks.js';
import { TaskError } from '#src/errors.js';
import { fails } from './line.fixture.js';

test('a promise that nobody resolves is an error after the limit, and one that resolves is its value', async () => {
  await assert.rejects(within(new Promise(() => undefined), 10, 'open'), {
    code: 'E_TASK_TIMEOUT',
    message: /open gives a promise that has not resolved for 0.01 s/,
  });
  assert.equal(await within(Promise.resolve(3), 60_000, 'open'), 3);
  await assert.rejects(within(Promise.reject(new Error('lost')), 60_000, 'open'), /lost/);
});

test('what an author throws keeps its words, and a code of this library stays', () => {
  const thrown = (error: unknown) => () =>
    calling('batch', 'E_TASK_BATCH', 'task.mjs', () => {
      throw error;
    });
  fails(thrown('no more'), 'E_TASK_BATCH', /^batch of task.mjs threw "no more"$/);
  fails(thrown(undefined), 'E_TASK_BATCH', /^batch of task.mjs threw missing$/);
  fails(thrown(new TaskError('E_DATA_MISSING', 'gone')), 'E_DATA_MISSING', /^gone$/);
});

test('a value is named by its place, and shown as far as it can be recognised', () => {
  const found = new Found({ a: [{ b: 1 }] }, 'what create returns', 'E_TASK_CREATE');
  fails(
    () => found.at('a').list()[0].at('b').text(),
    'E_TASK_CREATE',
    /^what create returns.a\[0\].b is 1: it must be a text/,
  );
  fails(() => found.at('c').at('d'), 'E_TASK_CREATE', /^what create returns.c is missing: it must be an object$/);
  assert.deepEqual([null, undefined, NaN, [1], {}, new Float32Array(2), () => 0, 'x'].map(shown), [
    'null',
    'missing',
    'NaN',
    '[1]',
    'an object',
    'a Float32Array',
    'a function',
    '"x"',
  ]);
});
