import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Status } from '@lockstep/coordinator';
import { progressLine } from '#src/status/view.js';

const STATUS: Status = {
  run: 'run-a',
  phase: 'computing',
  step: 9_000,
  steps: 18_000,
  generation: 3,
  workers: [],
  loss: 0.12345,
  figures: {},
  imagesPerSecond: 1210.4,
  etaSeconds: 3_900,
  checkpoint: null,
  reproducible: true,
  evaluation: null,
};

test('the progress shows what there is room for, the step first of all, and a bar that is half full', () => {
  const shown = (columns: number): string => progressLine(STATUS, columns);
  const all = 'step 9000/18000 [============------------]  loss 0.1235  1210 samples/s  0 workers  ETA 1h05m';
  assert.equal(shown(200), all);
  assert.equal(shown(79), 'step 9000/18000 [=====-----]  loss 0.1235  1210 samples/s  0 workers  ETA 1h05m');
  assert.equal(shown(39), 'step 9000/18000  loss 0.1235  ETA 1h05m');
  assert.equal(shown(29), 'step 9000/18000  ETA 1h05m');
  assert.equal(shown(19), 'step 9000/18000');
  assert.equal(shown(9), 'step 9000');
  const figures = { accuracy: 0.98765, right: 1 };
  assert.equal(
    progressLine({ ...STATUS, figures }, 200),
    all.replace('loss 0.1235', 'loss 0.1235 accuracy 0.9877 right 1.0000'),
  );
});

test('at no width it is longer, nor begins with anything but the step', () => {
  for (let columns = 1; columns <= 120; columns++) {
    const line = progressLine(STATUS, columns);
    assert.ok(line.length <= columns, `${columns}: ${line}`);
    assert.ok(line.startsWith('step 9000/18000'.slice(0, columns)));
  }
});

test('a bar is empty at the start and full at the end', () => {
  assert.match(progressLine({ ...STATUS, step: 0 }, 200), /\[-{24}\]/);
  assert.match(progressLine({ ...STATUS, step: 18_000 }, 200), /\[={24}\]/);
});
