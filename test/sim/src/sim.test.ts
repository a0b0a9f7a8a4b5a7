import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runLeaving, runSchedule, type Result } from './schedule.js';

/** About 4 ms each. */
const SCHEDULES = 3_000;
/** Shorter runs. */
const LEAVINGS = 500;

function endOf({ transcript }: Result): string {
  return transcript().slice(-40).join('\n');
}

describe('under any schedule of crashes, freezes, half-open connections, slow networks, restarts and clocks that are set', () => {
  it(`all ${SCHEDULES} seeded runs end, commit every step once, with the states of an undisturbed run`, async () => {
    let faults = 0;
    let earlySums = 0;
    let figures = 0;
    let clocksSet = 0;
    let namesTaken = 0;
    let inOnePiece = 0;
    for (let seed = 0; seed < SCHEDULES; seed++) {
      const result = await runSchedule(seed);
      faults += result.faults;
      figures += result.notes.get('figure') ?? 0;
      earlySums += result.notes.get('early-sum') ?? 0;
      clocksSet += result.notes.get('clock-set') ?? 0;
      namesTaken += result.notes.get('name-taken') ?? 0;
      inOnePiece += result.notes.get('in-one-piece') ?? 0;
      if (result.violations.length > 0)
        assert.fail(
          `${result.violations.join('; ')}; replay it alone: npx nx run sim:sim -- ${seed}\n${endOf(result)}`,
        );
    }
    assert.ok(faults > SCHEDULES, 'the schedules have faults in them');
    assert.ok(figures > 10 * SCHEDULES, "most steps have their task's figure");
    assert.ok(clocksSet > SCHEDULES, 'wall clocks are set');
    assert.ok(namesTaken > SCHEDULES / 20, 'workers say names that others have');
    assert.ok(inOnePiece >= SCHEDULES / 8, 'in some, gradients come in one piece');
    assert.ok(earlySums > 10 * (SCHEDULES - inOnePiece), 'early buckets are summed before the rest is there');
  });

  it(`in ${LEAVINGS} runs workers leave in order, and everybody is told to stop at once: no committed step is lost`, async () => {
    const notes = new Map<string, number>();
    for (let seed = 0; seed < LEAVINGS; seed++) {
      const result = await runLeaving(seed);
      for (const [note, count] of result.notes) notes.set(note, (notes.get(note) ?? 0) + count);
      if (result.violations.length > 0)
        assert.fail(`${result.violations.join('; ')} with seed ${seed}\n${endOf(result)}`);
    }
    assert.ok((notes.get('worker-lost') ?? 0) > LEAVINGS, 'workers leave');
    assert.ok((notes.get('waiting') ?? 0) > LEAVINGS / 10, 'the last one among them');
  });

  it('the same seed gives the same transcript', async () => {
    assert.deepEqual((await runSchedule(3)).transcript(), (await runSchedule(3)).transcript());
  });
});
