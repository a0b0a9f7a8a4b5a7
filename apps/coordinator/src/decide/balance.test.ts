import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { measured, paceOf, share, stragglers, unmeasured } from '#src/decide/balance.js';
import { monotonicMs, type MonotonicMs } from '#src/decide/clocks.js';
import type { Speed } from '#src/decide/state.js';
import { giveOut, relieve, report, workOf } from '#src/decide/work.js';

const speed = (milliseconds: number, cpuShare = 1): Speed => ({ milliseconds, cpuShare });
const nobody = (): null => null;

/** Time at which the last worker is done, if each takes `pace` for a microbatch. */
function makespan(queues: ReadonlyMap<string, readonly number[]>, pace: (id: string) => number): number {
  return Math.max(...[...queues].map(([id, queue]) => queue.length * pace(id)));
}

describe('sharing microbatches out', () => {
  it('gives every microbatch to exactly one worker, for any paces and holders', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 9 }),
        fc.array(fc.integer({ min: -1, max: 12 }), { minLength: 1, maxLength: 40 }),
        (paces, holders) => {
          const ring = paces.map((_, rank) => `w${rank}`);
          const held = (index: number): string => `w${holders[index] ?? -1}`;
          const queues = share(ring, holders.length, (id) => paces[Number(id.slice(1))] ?? 1, held);
          const all = [...queues.values()].flat().sort((a, b) => a - b);
          assert.deepEqual(
            all,
            holders.map((_, index) => index),
          );
          for (const [id, queue] of queues)
            for (const index of queue) if (ring.includes(held(index))) assert.equal(id, held(index));
        },
      ),
    );
  });

  it('uses 85 % and more of two workers of which one is four times slower, from eight microbatches on', () => {
    const pace = (id: string): number => (id === 'slow' ? 4 : 1);
    for (const microbatches of [10, 16, 20, 32, 64]) {
      const time = makespan(share(['quick', 'slow'], microbatches, pace, nobody), pace);
      assert.ok(microbatches / time >= 0.85 * 1.25, `${microbatches} microbatches take ${time}`);
    }
  });

  it('takes a worker of unknown speed for an average one', () => {
    const pace = paceOf(['a', 'b', 'new'], (id) => (id === 'new' ? null : speed(50)));
    assert.equal(pace('new'), 50);
  });
});

describe('speeds', () => {
  it('follow the newest measurements, and recover by themselves when nothing is measured', () => {
    let slow: Speed | null = null;
    for (let index = 0; index < 30; index++) slow = measured(slow, 400, 100);
    assert.ok(slow !== null && Math.abs(slow.milliseconds - 400) < 1 && Math.abs(slow.cpuShare - 0.25) < 0.01);
    assert.ok((unmeasured(slow)?.milliseconds ?? Infinity) < slow.milliseconds);
  });

  it('name a straggler with the reason, and no longer when it has recovered', () => {
    const speeds: Record<string, Speed> = { a: speed(100), b: speed(110), c: speed(420, 0.25), d: speed(105) };
    const of = (id: string): Speed | null => speeds[id] ?? null;
    const found = stragglers(['a', 'b', 'c', 'd'], of, () => false);
    assert.deepEqual([...found.keys()], ['c']);
    assert.match(found.get('c') ?? '', /420 ms, the others 105 ms \(4.0 times\); it gets 25 % of a processor/);
    speeds['c'] = speed(180);
    assert.equal(stragglers(['a', 'b', 'c', 'd'], of, () => true).size, 1, 'not yet clearly better');
    speeds['c'] = speed(120);
    assert.equal(stragglers(['a', 'b', 'c', 'd'], of, () => true).size, 0);
  });

  it('of two workers name the slower one only', () => {
    const of = (id: string): Speed | null => (id === 'a' ? speed(100) : speed(300));
    assert.deepEqual([...stragglers(['a', 'b'], of, () => false).keys()], ['b']);
    assert.match(stragglers(['a', 'b'], of, () => false).get('b') ?? '', /slower or throttled/);
  });
});

describe('an idle worker', () => {
  const ring = ['a', 'b'];
  const pace = (): number => 100;
  const at = monotonicMs;
  const work = (now: MonotonicMs) =>
    giveOut({
      step: 0,
      ring,
      microbatches: 4,
      pace,
      holder: nobody,
      audit: { seed: 0, rate: 0 },
      peers: () => [],
      now,
    });
  const result = (worker: string) => ({ worker, loss: 1, figures: null, exponents: [], samples: '0', digest: null });

  it('leaves others their work while they are as quick as expected', () => {
    const given = work(at(0));
    for (const microbatch of given.queues.get('a') ?? []) report(given, microbatch, result('a'), [], at(200));
    report(given, given.queues.get('b')?.[0] ?? -1, result('b'), [], at(110));
    assert.equal(relieve(given, 'a', pace, at(200)), null);
  });

  it('takes over what a stalled worker has not begun, then computes what it has begun as well', () => {
    const given = work(at(0));
    const [first = -1, second = -1] = given.queues.get('b') ?? [];
    for (const microbatch of given.queues.get('a') ?? []) report(given, microbatch, result('a'), [], at(200));
    assert.deepEqual(relieve(given, 'a', pace, at(200)), { microbatch: second, from: 'b', to: 'a', instead: true });
    assert.deepEqual(workOf(given, 'b').microbatches, [first]);
    report(given, second, result('a'), [], at(300));
    assert.equal(relieve(given, 'a', pace, at(300)), null, 'it may be done at any moment');
    assert.deepEqual(relieve(given, 'a', pace, at(400)), { microbatch: first, from: 'b', to: 'a', instead: false });
    assert.ok(workOf(given, 'b').microbatches.includes(first), 'who began it goes on');
    report(given, first, result('a'), [], at(500));
    assert.equal(given.missing, 0);
    report(given, first, result('b'), [], at(600));
    assert.equal(given.covered[first]?.worker, 'a', 'the first result wins');
    assert.equal(given.missing, 0);
  });
});
