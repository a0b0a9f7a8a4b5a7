import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runMany, type Failure } from './many.js';
import { runSchedule } from './schedule.js';

const SCHEDULES = 3_000;
/** Shorter runs. */
const LEAVINGS = 500;

function told({ seed, violations, end }: Failure, how: string): string {
  return `seed ${seed}: ${violations.join('; ')}${how}\n${end}`;
}

describe('under any schedule of crashes, freezes, half-open connections, slow networks, restarts and clocks that are set', () => {
  it(`all ${SCHEDULES} seeded runs end, commit every step once, with the states of an undisturbed run`, async () => {
    const { faults, notes, failures } = await runMany('schedule', SCHEDULES);
    const [failure] = failures;
    if (failure !== undefined) assert.fail(told(failure, `; replay it alone: npx nx run sim:sim -- ${failure.seed}`));
    const times = (note: string): number => notes.get(note) ?? 0;
    assert.ok(faults > SCHEDULES, 'the schedules have faults in them');
    assert.ok(times('figure') > 10 * SCHEDULES, "most steps have their task's figure");
    assert.ok(times('clock-set') > SCHEDULES, 'wall clocks are set');
    assert.ok(times('name-taken') > SCHEDULES / 20, 'workers say names that others have');
    assert.ok(times('in-one-piece') >= SCHEDULES / 8, 'in some, gradients come in one piece');
    assert.ok(
      times('early-sum') > 10 * (SCHEDULES - times('in-one-piece')),
      'early buckets are summed before the rest is there',
    );
  });

  it(`in ${LEAVINGS} runs workers leave in order, and everybody is told to stop at once: no committed step is lost`, async () => {
    const { notes, failures } = await runMany('leaving', LEAVINGS);
    const [failure] = failures;
    if (failure !== undefined) assert.fail(told(failure, ''));
    assert.ok((notes.get('worker-lost') ?? 0) > LEAVINGS, 'workers leave');
    assert.ok((notes.get('waiting') ?? 0) > LEAVINGS / 10, 'the last one among them');
  });

  it('the same seed gives the same transcript', async () => {
    assert.deepEqual((await runSchedule(3)).transcript(), (await runSchedule(3)).transcript());
  });
});
