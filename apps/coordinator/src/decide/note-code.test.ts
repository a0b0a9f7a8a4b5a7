import assert from 'node:assert/strict';
import { test } from 'node:test';
import { warningCode } from '#src/decide/note-code.js';

test('a worker that is lost has the code of the reason, where the reason names one', () => {
  const lost = (reason: string) => warningCode({ note: 'worker-lost', worker: 'a', reason });
  assert.equal(lost('E_HEARTBEAT_MISSED: nothing was heard for 5000 ms'), 'E_HEARTBEAT_MISSED');
  assert.equal(lost('it left: E_STATE_CORRUPT: weights changed in memory'), 'E_STATE_CORRUPT');
  assert.equal(lost('its connection closed (1006)'), 'E_WORKER_LOST');
});

test('a state that was kept is no warning; one that could not be kept is', () => {
  assert.equal(warningCode({ note: 'kept', step: 3, failure: null }), null);
  assert.equal(
    warningCode({ note: 'kept', step: 3, failure: 'E_CHECKPOINT_WRITE: the disk is full' }),
    'E_CHECKPOINT_WRITE',
  );
});

test('what happens in every run is no warning', () => {
  assert.equal(warningCode({ note: 'waiting', reason: 'for workers' }), null);
  assert.equal(warningCode({ note: 'published', step: 1, digest: 'a' }), null);
});
