import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Played, SETTINGS, outcomeOf, publishedFrom, sentTo } from './played.fixture.js';

describe('a worker that says goodbye', () => {
  it('is out of the ring and let go at once where another one holds the state', () => {
    const played = new Played(5, 5, { ...SETTINGS, minWorkers: 2 });
    played.comes('a', 5);
    played.comes('b', 5);
    assert.deepEqual(played.state.ring, ['a', 'b']);
    const effects = played.leaves('a');
    assert.deepEqual(played.state.ring, []);
    assert.ok(sentTo(effects, 'a', 'stop'));
    assert.deepEqual([...played.state.workers.keys()], ['b']);
  });

  it('is let go at once where the checkpoint is of the committed step, or nothing is committed', () => {
    for (const committed of [5, 0]) {
      const played = new Played(committed, committed);
      played.comes('a', committed);
      assert.ok(sentTo(played.leaves('a'), 'a', 'stop'));
    }
  });

  it('gives its state before it is let go where nobody else has it, and those that come meanwhile wait for that', () => {
    const played = new Played(7, 5);
    played.comes('a', 7);
    const left = played.leaves('a');
    assert.deepEqual(publishedFrom(left, 7), ['a']);
    assert.ok(!sentTo(left, 'a', 'stop'));
    assert.equal(played.state.phase.kind, 'gathering');
    played.now += 10 * SETTINGS.heartbeatTimeoutMs;
    played.happens({ type: 'message', worker: 'a', message: { type: 'heartbeat', generation: 1, step: 7 } });
    const came = played.comes('b', 0);
    assert.equal(played.state.phase.kind, 'gathering', 'the run does not go back to step 5');
    assert.deepEqual(
      came.filter((effect) => effect.type === 'note' && effect.note.note === 'rolled-back'),
      [],
    );
    const effects = played.published(7);
    assert.ok(sentTo(effects, 'a', 'stop'));
    assert.ok(sentTo(effects, 'b', 'plan'));
    assert.deepEqual([played.state.step, played.state.phase.kind], [7, 'computing']);
  });

  it('is let go when its state cannot be written', () => {
    const played = new Played(7, 5);
    played.comes('a', 7);
    played.leaves('a');
    assert.ok(sentTo(played.publishFails(7), 'a', 'stop'));
  });

  it('goes on in a ring that runs, to the commit, and then gives that state', () => {
    const played = new Played(7, 5);
    played.comes('a', 7);
    assert.ok(sentTo(played.computes('a'), 'a', 'reduce'));
    const left = played.leaves('a');
    assert.ok(!sentTo(left, 'a', 'stop'));
    assert.equal(played.state.phase.kind, 'reducing');
    const applied = played.applies('a');
    assert.equal(played.state.step, 8);
    assert.deepEqual(publishedFrom(applied, 8), ['a']);
    assert.equal(played.state.phase.kind, 'gathering');
    assert.ok(sentTo(played.published(8), 'a', 'stop'));
  });

  it('is as good a source as any when the run is stopped at the same moment, whoever is heard first', () => {
    for (const workerFirst of [true, false]) {
      const played = new Played(7, 5);
      played.comes('a', 7);
      const first = workerFirst ? played.leaves('a') : played.happens({ type: 'stopRequested', reason: 'SIGTERM' });
      const second = workerFirst ? played.happens({ type: 'stopRequested', reason: 'SIGTERM' }) : played.leaves('a');
      assert.deepEqual(publishedFrom([...first, ...second], 7), ['a']);
      const end = played.published(7);
      assert.deepEqual(outcomeOf(end)?.kind, 'stopped');
      assert.match(outcomeOf(end)?.reason ?? '', /^SIGTERM; the checkpoint of step 7 holds all that was committed/);
      assert.ok(sentTo(end, 'a', 'stop'));
    }
  });

  it('with damaged memory is nobody that a state is taken from', () => {
    const played = new Played(7, 5);
    played.comes('a', 7);
    const effects = played.says('a', { type: 'bye', code: 'E_STATE_CORRUPT', reason: 'a bit' });
    assert.equal(publishedFrom(effects, 7), null);
    assert.equal(played.state.workers.size, 0);
  });
});

describe('a stop', () => {
  it('says what could not be kept, from where a resume goes on, and what it does again; and fails', () => {
    const played = new Played(7, 5);
    played.comes('a', 7);
    played.computes('a');
    played.applies('a');
    played.recorded(7);
    assert.equal(publishedFrom(played.happens({ type: 'stopRequested', reason: 'SIGINT' }), 8)?.length, 1);
    const outcome = outcomeOf(played.publishFails(8));
    assert.deepEqual([outcome?.kind, outcome?.code, outcome?.asked], ['failed', 'E_CHECKPOINT_WRITE', 'SIGINT']);
    assert.equal(
      outcome?.reason,
      'SIGINT, but no checkpoint of step 8 could be written (no space); a resume goes on from the checkpoint of step 5 and does 3 committed steps again',
    );
  });

  it('waits one timeout for a worker that may come back with the state that nobody else has', () => {
    const played = new Played(7, 5);
    played.now = 500;
    assert.equal(outcomeOf(played.happens({ type: 'stopRequested', reason: 'SIGTERM' })), null);
    assert.deepEqual(publishedFrom(played.comes('a', 7), 7), ['a']);
    assert.equal(outcomeOf(played.published(7))?.kind, 'stopped');

    const alone = new Played(7, 5);
    alone.happens({ type: 'stopRequested', reason: 'SIGTERM' });
    alone.now = 1_000;
    const outcome = outcomeOf(alone.happens({ type: 'tick' }));
    // What was committed by another coordinator, before this one, was not this one's to keep.
    assert.equal(outcome?.kind, 'stopped');
    assert.match(outcome?.reason ?? '', /from the checkpoint of step 5 and does 2 committed steps again/);
  });

  it('ends at once where nothing is to be kept, and a second reason does not replace the first', () => {
    const fresh = new Played(0, 0);
    assert.equal(
      outcomeOf(fresh.happens({ type: 'stopRequested', reason: 'SIGINT' }))?.reason,
      'SIGINT; no step was done',
    );
    const played = new Played(7, 5);
    played.comes('a', 7);
    played.happens({ type: 'stopRequested', reason: 'SIGINT' });
    played.happens({ type: 'stopRequested', reason: 'SIGTERM' });
    assert.match(outcomeOf(played.published(7))?.reason ?? '', /^SIGINT;/);
  });
});

describe('a checkpoint that is asked for', () => {
  it('is taken from workers that are held at that state, and the run goes on', () => {
    const played = new Played(7, 5);
    played.comes('a', 7);
    assert.deepEqual(publishedFrom(played.happens({ type: 'checkpointRequested' }), 7), ['a']);
    assert.equal(publishedFrom(played.happens({ type: 'checkpointRequested' }), 7), null, 'one is under way');
    assert.ok(!sentTo(played.computes('a'), 'a', 'reduce'), 'the state is still being read');
    assert.ok(sentTo(played.published(7), 'a', 'reduce'));
  });

  it('is of the step under way when the ring runs, and does not hold the run up when it fails', () => {
    const played = new Played(7, 5);
    played.comes('a', 7);
    played.computes('a');
    assert.equal(publishedFrom(played.happens({ type: 'checkpointRequested' }), 7), null);
    assert.deepEqual(publishedFrom(played.applies('a'), 8), ['a']);
    played.recorded(7);
    assert.ok(!sentTo(played.computes('a'), 'a', 'reduce'));
    assert.ok(sentTo(played.publishFails(8), 'a', 'reduce'));
  });
});
