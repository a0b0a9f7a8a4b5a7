import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runLeaving, runSchedule } from './schedule.js';

/** About 4 ms each. */
const SCHEDULES = 3_000;
/** Shorter runs. */
const LEAVINGS = 500;

describe('under any schedule of crashes, freezes, half-open connections, slow networks, restarts and clocks that are set', () => {
  it(`all ${SCHEDULES} seeded runs end, commit every step once, with the states of an undisturbed run`, () => {
    let faults = 0;
    let earlySums = 0;
    let clocksSet = 0;
    let namesTaken = 0;
    for (let seed = 0; seed < SCHEDULES; seed++) {
      const result = runSchedule(seed);
      faults += result.faults;
      earlySums += result.notes.get('early-sum') ?? 0;
      clocksSet += result.notes.get('clock-set') ?? 0;
      namesTaken += result.notes.get('name-taken') ?? 0;
      assert.deepEqual(
        result.violations,
        [],
        `seed ${seed}; replay it alone: npx nx run sim:sim -- ${seed}\n${result.transcript.slice(-40).join('\n')}`,
      );
    }
    assert.ok(faults > SCHEDULES, 'the schedules have faults in them');
    assert.ok(clocksSet > SCHEDULES, 'wall clocks are set');
    assert.ok(namesTaken > SCHEDULES / 20, 'workers say names that others have');
    assert.ok(earlySums > 10 * SCHEDULES, 'early buckets are summed before the rest is there');
  });

  it(`in ${LEAVINGS} runs workers leave in order, and everybody is told to stop at once: no committed step is lost`, () => {
    const notes = new Map<string, number>();
    for (let seed = 0; seed < LEAVINGS; seed++) {
      const result = runLeaving(seed);
      for (const [note, count] of result.notes) notes.set(note, (notes.get(note) ?? 0) + count);
      assert.deepEqual(result.violations, [], `seed ${seed}\n${result.transcript.slice(-40).join('\n')}`);
    }
    assert.ok((notes.get('worker-lost') ?? 0) > LEAVINGS, 'workers leave');
    assert.ok((notes.get('waiting') ?? 0) > LEAVINGS / 10, 'the last one among them');
  });

  it('the same seed gives the same transcript', () => {
    assert.deepEqual(runSchedule(3).transcript, runSchedule(3).transcript);
  });
});
