import assert from 'node:assert/strict';
import { test } from 'node:test';
import { triedLines } from '#src/commands/try-command.js';

const TRIED = { task: 'line', step: 7, measured: null, sample: null };

test('what was measured is one line, and the sample comes last, as it is', () => {
  const measured = { loss: 0.123456, figures: { accuracy: 0.98, right: 1 }, samples: 9984 };
  assert.deepEqual(triedLines({ ...TRIED, measured, sample: 'a\nb' }), [
    'line, the checkpoint of step 7, with the moving average of its weights',
    'on 9984 test samples: loss 0.1235, accuracy 0.9800, right 1.0000',
    '',
    'a\nb',
  ]);
});

test('a task without test data and sample says so', () => {
  assert.deepEqual(triedLines(TRIED).slice(1), ['the task has no test data to measure it on']);
});
