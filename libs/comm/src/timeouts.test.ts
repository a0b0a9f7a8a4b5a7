import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHORTEST_TICK_MS, heartbeatInterval, timeoutsFrom } from '#src/timeouts.js';

test('the default of five seconds gives the documented waits', () => {
  assert.deepEqual(timeoutsFrom(5_000), {
    heartbeatIntervalMs: 1_000,
    controlSilenceMs: 5_000,
    controlDialMs: 5_000,
    helloMs: 5_000,
    coordinatorTickMs: 100,
    brokenRingPauseMs: 1_000,
    startGraceMs: 30_000,
    newestStateGraceMs: 5_000,
    ringSilenceMs: 5_000,
    ringTickMs: 250,
    ringDialMs: 5_000,
    transferStallMs: 5_000,
    handOverMs: 60_000,
    leaveMs: 500,
    giveUpMs: 600_000,
  });
  assert.equal(heartbeatInterval(5_000), 1_000);
});

test('whatever the knob, no timer is shorter than the shortest tick', () => {
  for (const heartbeatTimeoutMs of [100, 500, 999, 5_000, 60_000]) {
    for (const [name, value] of Object.entries(timeoutsFrom(heartbeatTimeoutMs))) {
      assert.ok(Number.isInteger(value) && value >= SHORTEST_TICK_MS, `${name} is ${value} for ${heartbeatTimeoutMs}`);
    }
  }
});

test('within one silence there is room for several heartbeats, and for several looks at the clock between two of them', () => {
  for (const heartbeatTimeoutMs of [500, 1_000, 5_000, 60_000]) {
    const { heartbeatIntervalMs, ringSilenceMs, ringTickMs, controlSilenceMs, coordinatorTickMs } =
      timeoutsFrom(heartbeatTimeoutMs);
    assert.ok(Math.min(ringSilenceMs, controlSilenceMs) >= 4 * heartbeatIntervalMs);
    assert.ok(heartbeatIntervalMs >= 4 * Math.max(ringTickMs, coordinatorTickMs));
  }
});
