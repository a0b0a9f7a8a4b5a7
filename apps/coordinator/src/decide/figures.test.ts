import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Effect } from '#src/decide/state.js';
import { Played, SETTINGS } from './played.fixture.js';

const NAMES = ['accuracy', 'distance'];
const THREE = { ...SETTINGS, figures: NAMES, microbatches: 3 };

/** The figures of the step that was committed. */
function committed(effects: readonly Effect[]): unknown {
  for (const effect of effects)
    if (effect.type === 'note' && effect.note.note === 'committed') return effect.note.figures;
  return assert.fail('nothing was committed');
}

/** A step of which each microbatch has such figures, reported in this order by these workers. */
function stepOf(
  figures: readonly (readonly (number | null)[] | undefined)[],
  order: readonly (readonly [worker: string, microbatch: number])[],
): unknown {
  const run = new Played(0, 0, { ...THREE, minWorkers: 2 });
  for (const worker of ['a', 'b']) run.comes(worker, 0);
  for (const [worker, microbatch] of order) run.computes(worker, figures[microbatch], microbatch);
  run.applies('a');
  return committed(run.applies('b'));
}

test("a step's figures are the means over its microbatches, to the bit, whoever computed them and whoever was first", () => {
  const figures = [
    [0.1, 1e17],
    [0.2, 1],
    [0.7, -1e17],
  ];
  const expected = { accuracy: (0.1 + 0.2 + 0.7) / 3, distance: (1e17 + 1 - 1e17) / 3 };
  assert.deepEqual(
    stepOf(figures, [
      ['a', 0],
      ['a', 1],
      ['b', 2],
    ]),
    expected,
  );
  assert.deepEqual(
    stepOf(figures, [
      ['b', 2],
      ['a', 1],
      ['b', 0],
    ]),
    expected,
  );
});

test('a figure that is not finite, or that one worker does not know, is left out, and the others are not', () => {
  const order = [
    ['a', 0],
    ['b', 1],
    ['a', 2],
  ] as const;
  assert.deepEqual(
    stepOf(
      [
        [1, 2],
        [1, null],
        [1, 2],
      ],
      order,
    ),
    { accuracy: 1 },
  );
  assert.deepEqual(stepOf([[1, 2], [1], [1, 2]], order), { accuracy: 1 });
  assert.deepEqual(stepOf([[1, 2], undefined, [1, 2]], order), {});
});

test('of the two answers to an audited microbatch the first gives its figures', () => {
  const run = new Played(0, 0, { ...SETTINGS, figures: NAMES, minWorkers: 2, auditRate: 1 });
  for (const worker of ['a', 'b']) run.comes(worker, 0);
  const digest = 'd'.repeat(64);
  run.computes('a', [1, 2], 0, digest);
  run.computes('b', [3, 4], 0, digest);
  run.applies('a');
  assert.deepEqual(committed(run.applies('b')), { accuracy: 1, distance: 2 });
});

test("a step that is committed by a worker's record of another generation has no figures, as they may be another attempt's", () => {
  const run = new Played(0, 0, { ...SETTINGS, figures: NAMES });
  run.comes('a', 0);
  run.computes('a', [1, 2]);
  const { phase } = run.state;
  assert.ok(phase.kind === 'reducing');
  const record = { ...phase.record, generation: phase.record.generation - 1 };
  run.happens({ type: 'gone', worker: 'a', reason: 'it is killed' });
  assert.deepEqual(committed(run.comes('a', 1, record)), {});
});
