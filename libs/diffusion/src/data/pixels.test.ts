import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PIXEL_VALUES, pixelToFloat } from '#src/data/pixels.js';

test('pixels span -1 to 1', () => {
  assert.equal(pixelToFloat(0), -1);
  assert.equal(pixelToFloat(255), 1);
  assert.ok(Math.abs(pixelToFloat(128) - 1 / 255) < 1e-7);
  assert.deepEqual([PIXEL_VALUES.length, PIXEL_VALUES[0], PIXEL_VALUES[255]], [256, -1, 1]);
});
