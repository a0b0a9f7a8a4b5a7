import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editDistance, nearest } from '#src/edit-distance.js';

test('the distance counts insertions, deletions and replacements', () => {
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(editDistance('abc', ''), 3);
  assert.equal(editDistance('flaw', 'lawn'), 2);
  assert.equal(editDistance('same', 'same'), 0);
});

test('the nearest name is offered only when it is near', () => {
  assert.equal(nearest('sed', ['steps', 'seed', 'port']), 'seed');
  assert.equal(nearest('quantum', ['steps', 'seed', 'port']), undefined);
});
