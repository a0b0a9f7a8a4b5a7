import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { cacheDirectoryIn } from '#src/process-variables.js';

test('the cache follows LOCKSTEP_CACHE, then XDG_CACHE_HOME, then the home folder; what is empty counts as not given', () => {
  const all = { LOCKSTEP_CACHE: '/a', XDG_CACHE_HOME: '/b', HOME: '/c' };
  assert.equal(cacheDirectoryIn(all), '/a');
  assert.equal(cacheDirectoryIn({ ...all, LOCKSTEP_CACHE: undefined }), '/b/lockstep');
  assert.equal(cacheDirectoryIn({ ...all, LOCKSTEP_CACHE: '', XDG_CACHE_HOME: '' }), '/c/.cache/lockstep');
  assert.equal(cacheDirectoryIn({}), join(homedir(), '.cache', 'lockstep'));
});
