import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isAudited, judge, type Answer } from '#src/decide/audit.js';

const answers = (...texts: readonly string[]): Answer[] =>
  texts.map((text) => {
    const [worker = '', digest = ''] = text.split(':');
    return { worker, digest };
  });

describe('the choice of audited microbatches', () => {
  it('takes about the share that was asked for, and none or all at the ends', () => {
    const taken = (rate: number): number => {
      let count = 0;
      for (let step = 0; step < 500; step++)
        for (let microbatch = 0; microbatch < 20; microbatch++) if (isAudited(3, step, microbatch, rate)) count += 1;
      return count / 10_000;
    };
    assert.equal(taken(0), 0);
    assert.equal(taken(1), 1);
    assert.ok(Math.abs(taken(0.1) - 0.1) < 0.02, String(taken(0.1)));
  });

  it('depends on seed, step and microbatch alone', () => {
    const choice = (seed: number): string =>
      Array.from({ length: 64 }, (_, index) => Number(isAudited(seed, index >> 3, index & 7, 0.5))).join('');
    assert.equal(choice(1), choice(1));
    assert.notEqual(choice(1), choice(2));
  });
});

describe('the judgement over the answers to one microbatch', () => {
  it('waits for a second answer, and asks another worker for it', () => {
    assert.deepEqual(judge(answers('a:1'), ['b']), { kind: 'open', ask: ['b'], again: [] });
  });

  it('believes two workers that agree', () => {
    assert.deepEqual(judge(answers('a:1', 'b:1'), ['a', 'b']), { kind: 'agreed', digest: '1', wrong: [] });
  });

  it('asks a third worker when two differ, and believes the side that it takes', () => {
    assert.deepEqual(judge(answers('a:1', 'b:2'), ['a', 'b', 'c']), { kind: 'open', ask: ['c'], again: [] });
    assert.deepEqual(judge(answers('a:1', 'b:2', 'c:2'), ['a', 'b', 'c']), {
      kind: 'agreed',
      digest: '2',
      wrong: ['a'],
    });
  });

  it('asks both once more when there is no third, and names the one that contradicts itself', () => {
    assert.deepEqual(judge(answers('a:1', 'b:2'), ['a', 'b']), { kind: 'open', ask: [], again: ['a', 'b'] });
    const judged = judge(answers('a:1', 'b:2', 'a:1', 'b:1'), ['a', 'b']);
    assert.deepEqual(judged, { kind: 'agreed', digest: '1', wrong: ['b'] });
  });

  it('does not count two answers of one worker as two workers', () => {
    assert.deepEqual(judge(answers('a:1', 'a:1'), ['a', 'b']), { kind: 'open', ask: ['b'], again: [] });
  });

  it('gives up when two workers stand by different answers', () => {
    assert.deepEqual(judge(answers('a:1', 'b:2', 'a:1', 'b:2'), ['a', 'b']), { kind: 'tie' });
  });
});
