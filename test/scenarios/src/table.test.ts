import { test } from 'node:test';
import assert from 'node:assert/strict';
import type { Row } from './scenario.js';
import { failed, markdown } from './table.js';

const good: Row = {
  id: 'a',
  title: 'a fault',
  goal: 'fast',
  injections: 3,
  seconds: [1, 3, 2],
  quietStep: 0.5,
  details: [],
  bitsEqual: true,
  ledgerWhole: true,
  goalMet: true,
  problem: null,
  skipped: null,
};

test('a row shows the smallest, middle and largest figure', () => {
  assert.match(markdown([good]), /\| a fault \| 3 \| 1\.00 \/ 2\.00 \/ 3\.00 \| 0\.50 \| yes \| 0 \| fast \| yes \|/);
});

test('another digest, a broken ledger or a run without an end fail; a missed goal or a skipped fault does not', () => {
  assert.equal(failed(good), false);
  assert.equal(failed({ ...good, goalMet: false }), false);
  assert.equal(failed({ ...good, skipped: 'no tmpfs', bitsEqual: null, ledgerWhole: null }), false);
  assert.equal(failed({ ...good, bitsEqual: false }), true);
  assert.equal(failed({ ...good, ledgerWhole: false }), true);
  assert.equal(failed({ ...good, problem: 'it hangs' }), true);
});

test('what went wrong stands below the table', () => {
  assert.match(markdown([{ ...good, problem: 'it hangs' }]), /\n\na: it hangs$/);
});
