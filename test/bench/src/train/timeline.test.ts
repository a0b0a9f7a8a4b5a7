import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Disturbed } from '../result/disturbed.js';
import { readTimeline, type Timeline } from './timeline.js';

const named = (kind: 'process_name' | 'thread_name', tid: number, name: string): object => ({
  name: kind,
  ph: 'M',
  pid: 7,
  tid,
  args: { name },
});
const span = (tid: number, name: string, ts: number, dur: number): object => ({
  ...{ name, ph: 'X', pid: 7, tid, ts, dur },
  args: { step: 1 },
});

/** Steps of 10 ms: 6 of gradient, 2 of update, 2 idle; the ring runs for 4, half of them beside the gradient. */
const events = (steps: number): object[] => [
  named('process_name', 0, 'worker-0'),
  named('thread_name', 1, 'compute'),
  named('thread_name', 2, 'io'),
  ...Array.from({ length: steps }, (_, step) => {
    const at = 10_000 * step;
    return [
      span(1, 'gradient', at, 6000),
      span(1, 'idle', at + 6000, 2000),
      span(1, 'apply', at + 8000, 2000),
      span(2, 'ring', at + 4000, 4000),
    ];
  }).flat(),
];

function read(traceEvents: object[]): Timeline {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-timeline-'));
  try {
    const file = join(folder, 'trace.json');
    writeFileSync(file, JSON.stringify({ traceEvents }));
    return readTimeline(file, 2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('a timeline says what a step is made of, and what of the ring lies beside gradients', () => {
  const timeline = read(events(6));
  assert.deepEqual(timeline.get('worker-0/compute'), {
    steps: 4,
    stepMs: 10,
    ms: { gradient: 6, idle: 2, apply: 2 },
    idleShare: 0.2,
  });
  assert.deepEqual(timeline.get('worker-0/io'), { steps: 4, stepMs: 10, ms: { ring: 4 }, ringHidden: 0.5 });
});

test('no figures follow from a timeline that ends with the warm-up', () => {
  assert.throws(() => read(events(2)), Disturbed);
});
