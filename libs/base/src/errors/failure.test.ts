import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { failureLine, failureOf } from '#src/errors/failure.js';
import { LockstepError } from '#src/errors/lockstep-error.js';

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

test('an error of the registry is told by its code once, and by what follows', () => {
  const error = new LockstepError('E_RUN_MISSING', 'there is no run; check the path');
  assert.equal(error.message, 'E_RUN_MISSING: there is no run; check the path');
  assert.deepEqual(failureOf(error), { code: 'E_RUN_MISSING', message: error.text });
  assert.equal(failureLine(error), error.message);
});

test('an error that came from another thread keeps its code, which its message may have or not', () => {
  const error = Object.assign(new Error('gone'), { code: 'E_DATA_MISSING' });
  assert.equal(failureLine(error), 'E_DATA_MISSING: gone');
});

test("what the operating system refuses has a code of the registry, and the system's own in its message", () => {
  const absent = thrownBy(() => readFileSync('/nowhere/at/all'));
  assert.equal(failureOf(absent).code, 'E_SYSTEM');
  assert.match(failureLine(absent), /^E_SYSTEM: ENOENT: /);
  const full = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  assert.equal(failureOf(full).code, 'E_RESOURCES');
});

test('a defect, and anything else that was thrown, is E_INTERNAL', () => {
  assert.equal(failureLine(new TypeError('x is not a function')), 'E_INTERNAL: x is not a function');
  assert.equal(failureOf(Object.assign(new Error('bad'), { code: 'ERR_INVALID_ARG_TYPE' })).code, 'E_INTERNAL');
  assert.equal(failureLine('words'), 'E_INTERNAL: words');
});
