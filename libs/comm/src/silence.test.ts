import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SilenceClock } from '#src/silence.js';
import type { Look } from '#src/silence.js';

const TIMEOUT_MS = 1_000;
const TICK_MS = 50;

function clock(): SilenceClock {
  return new SilenceClock({ timeoutMs: TIMEOUT_MS, tickMs: TICK_MS, now: 0 });
}

/** Looks at every tick until `until` and returns the time of the first verdict, or null. */
function firstSilence(look: (now: number) => Omit<Look, 'now'>, until: number): number | null {
  const watch = clock();
  for (let now = TICK_MS; now <= until; now += TICK_MS) if (watch.isSilent({ now, ...look(now) })) return now;
  return null;
}

test('a neighbour that never says a word is silent at the first look after the timeout', () => {
  assert.equal(
    firstSilence(() => ({ bytesReceived: 0, reading: true }), 5_000),
    1_050,
  );
});

test('silence counts from the look that last saw new bytes', () => {
  assert.equal(
    firstSilence((now) => ({ bytesReceived: Math.min(now, 3_000), reading: true }), 9_000),
    4_050,
  );
});

test('one byte in each timeout is enough, however long it goes on', () => {
  assert.equal(
    firstSilence((now) => ({ bytesReceived: Math.floor(now / 1_000), reading: true }), 100_000),
    null,
  );
});

test('a socket that this end does not read is never silent, and has a whole timeout once it is read again', () => {
  assert.equal(
    firstSilence((now) => ({ bytesReceived: 10, reading: now > 50_000 }), 60_000),
    51_050,
  );
});

test('time in which this process stood still is not the silence of the neighbour', () => {
  const watch = clock();
  assert.equal(watch.isSilent({ now: 50, bytesReceived: 1, reading: true }), false);
  assert.equal(watch.isSilent({ now: 500_000, bytesReceived: 1, reading: true }), false);
  // What was quiet before the standstill and what is after it add up: 100 ms of the late look count, the gap does not.
  assert.equal(watch.isSilent({ now: 500_050, bytesReceived: 1, reading: true }), false);
  let now = 500_050;
  while (!watch.isSilent({ now: (now += TICK_MS), bytesReceived: 1, reading: true }));
  assert.equal(now - 500_000 + 2 * TICK_MS, TIMEOUT_MS + TICK_MS);
});

test('standing still again and again does not hide a silent neighbour for ever', () => {
  const watch = clock();
  let looks = 0;
  while (!watch.isSilent({ now: 1_000 * ++looks, bytesReceived: 0, reading: true })) assert.ok(looks < 100);
});

test('no neighbour that says something in every tick that this process has is ever silent, whatever the ticks', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 10_000 }), { maxLength: 50 }), (gaps) => {
      const watch = clock();
      let now = 0;
      let bytesReceived = 0;
      for (const gap of gaps) {
        now += gap;
        bytesReceived += 4;
        assert.equal(watch.isSilent({ now, bytesReceived, reading: true }), false);
      }
    }),
  );
});
