import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EffectQueue } from '#src/effect-queue.js';

test('what an effect causes is carried out after the effects that wait already', () => {
  const done: string[] = [];
  const queue = new EffectQueue<string>((effect) => {
    done.push(effect);
    if (effect === 'first') queue.push(['caused']);
    return undefined;
  });
  queue.push(['first', 'second']);
  assert.deepEqual(done, ['first', 'second', 'caused']);
});

test('an effect that is waited for holds up all that come after it, and nothing else', async () => {
  const done: string[] = [];
  let settle: () => void = () => undefined;
  const queue = new EffectQueue<string>((effect) => {
    done.push(effect);
    return effect === 'slow' ? new Promise((resolve) => (settle = resolve)) : undefined;
  });
  queue.push(['slow', 'second']);
  queue.push(['third']);
  assert.deepEqual(done, ['slow']);
  settle();
  await new Promise(setImmediate);
  assert.deepEqual(done, ['slow', 'second', 'third']);
});

test('long work begins when no effect waits any more, those included that other work caused', () => {
  const done: string[] = [];
  const queue = new EffectQueue<string>((effect) => {
    done.push(effect);
    if (effect === 'sum')
      queue.afterwards(() => {
        done.push('long');
        queue.push(['caused']);
      });
    return undefined;
  });
  queue.push(['sum', 'sum', 'send']);
  assert.deepEqual(done, ['sum', 'sum', 'send', 'long', 'caused', 'long', 'caused']);
});

test('an effect that throws takes those behind it with it, and the queue goes on with what comes later', () => {
  const done: string[] = [];
  const queue = new EffectQueue<string>((effect) => {
    if (effect === 'bad') throw new Error('broken');
    done.push(effect);
    return undefined;
  });
  assert.throws(() => queue.push(['bad', 'behind']), /broken/);
  queue.push(['later']);
  assert.deepEqual(done, ['later']);
});
