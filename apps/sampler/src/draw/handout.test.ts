import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { finish, give, handoutOf, isOver, lose } from '#src/draw/handout.js';

test('batches are given in order, each once, and then none', () => {
  let handout = handoutOf(2);
  const given = ['a', 'b', 'c'].map((worker) => {
    const next = give(handout, worker);
    handout = next.handout;
    return next.batch;
  });
  assert.deepEqual(given, [0, 1, null]);
  assert.equal(isOver(handout), false);
  assert.equal(isOver(finish(finish(handout, 'a'), 'b')), true);
});

test('the batch of a lost worker is the next one to be given; a lost worker that had none changes nothing', () => {
  const { handout } = give(handoutOf(3), 'a');
  assert.deepEqual(lose(handout, 'a').waiting, [0, 1, 2]);
  assert.deepEqual(lose(handout, 'b'), handout);
});

test('whoever is lost and whenever, every batch is drawn exactly once', () => {
  const turn = fc.record({ worker: fc.constantFrom('a', 'b', 'c'), lost: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(turn), (batches, turns) => {
      let handout = handoutOf(batches);
      const drawn: number[] = [];
      const step = (worker: string, lost: boolean): void => {
        const batch = handout.drawing.get(worker);
        if (lost) handout = lose(handout, worker);
        else if (batch === undefined) handout = give(handout, worker).handout;
        else {
          drawn.push(batch);
          handout = finish(handout, worker);
        }
      };
      for (const { worker, lost } of turns) step(worker, lost);
      for (const worker of ['a', 'b', 'c']) step(worker, true);
      while (!isOver(handout)) step('a', false);
      assert.deepEqual(drawn.sort(), [...Array(batches).keys()]);
    }),
  );
});
