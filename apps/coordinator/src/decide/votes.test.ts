import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { contradicting, judgeStates, withVotes } from '#src/decide/votes.js';

const votes = (entries: Readonly<Record<string, string>>): Map<string, string> => new Map(Object.entries(entries));

describe('the judgement over states', () => {
  it('follows the larger side and names the others', () => {
    const verdict = judgeStates(votes({ a: 'x', b: 'y', c: 'x' }), null);
    assert.deepEqual(verdict, { kind: 'truth', digest: 'x', wrong: ['b'] });
  });

  it('is a tie where the two largest sides are equal', () => {
    assert.equal(judgeStates(votes({ a: 'x', b: 'y' }), null).kind, 'tie');
    assert.equal(judgeStates(votes({ a: 'x', b: 'x', c: 'y', d: 'y', e: 'z' }), null).kind, 'tie');
  });

  it('follows the ledger, whatever the majority says', () => {
    const verdict = judgeStates(votes({ a: 'x', b: 'x', c: 'y' }), 'y');
    assert.deepEqual(verdict, { kind: 'truth', digest: 'y', wrong: ['a', 'b'] });
    assert.deepEqual(judgeStates(votes({ a: 'x' }), 'y'), { kind: 'truth', digest: 'y', wrong: ['a'] });
  });
});

describe('attempts at one step', () => {
  it('show who gave different states for it', () => {
    const attempts = withVotes(withVotes(new Map(), votes({ a: 'x', b: 'y' })), votes({ a: 'x', b: 'x' }));
    assert.deepEqual(contradicting(attempts), ['b']);
  });
});
