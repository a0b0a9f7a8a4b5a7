import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkResult, row, type Measured, type Row } from './result.js';
import { summary } from './summary.js';

const figures = summary([2, 1, 3]);
const peer = { name: 'Peer', version: '1.2', ...figures };
const rowWith = (rest: Partial<Measured>): Row =>
  row({ name: 'a', unit: 'ms', ours: figures, peer, ratio: figures, ...rest });

test("a goal is held against the median of what it is about, and a goal's bound itself is met", () => {
  assert.equal(rowWith({ goal: { of: 'ratio', atMost: 2 } }).met, true);
  assert.equal(rowWith({ goal: { of: 'ratio', atMost: 1.9 } }).met, false);
  assert.equal(rowWith({ goal: { of: 'ours', atLeast: 2 } }).met, true);
  assert.equal(rowWith({ goal: { of: 'ours', atLeast: 2.1 } }).met, false);
});

test('a goal about a ratio is neither met nor missed where there is no peer', () => {
  const { met } = row({ name: 'a', unit: 'ms', ours: figures, goal: { of: 'ratio', atMost: 1 } });
  assert.equal(met, null);
});

test('what a script printed in another shape is refused, with where it is wrong', () => {
  const of =
    (one: object): (() => unknown) =>
    () =>
      checkResult({ bench: 'step', rows: [one] });
  assert.throws(() => checkResult({ rows: [rowWith({})] }), /not a benchmark's result: .* at bench$/s);
  assert.throws(() => checkResult({ bench: 'step', rows: [] }), /at rows$/);
  assert.throws(of({ ...rowWith({}), ours: { median: 1 } }), /at rows\[0\]\.ours\.min/);
  assert.throws(of({ ...rowWith({}), peer: figures }), /at rows\[0\]\.peer\.name/);
  assert.throws(of({ ...rowWith({}), goal: { of: 'ours' } }), /neither atMost nor atLeast\s+→ at rows\[0\]\.goal/);
});

test("a result keeps the part's own details", () => {
  const result = { bench: 'step', rows: [rowWith({})], contests: [1] };
  assert.deepEqual(checkResult(JSON.parse(JSON.stringify(result))), result);
});

test('figures that are no order of any samples are refused: a sample was lost on their way', () => {
  const odd = (rest: Partial<Measured>) => () => checkResult({ bench: 'train', rows: [rowWith(rest)] });
  assert.throws(odd({ ours: { min: 3, median: 0, max: 2.54, samples: 3 } }), /in that order\s+→ at rows\[0\]\.ours/);
  assert.throws(odd({ ratio: { min: 1, median: 3, max: 2, samples: 3 } }), /in that order\s+→ at rows\[0\]\.ratio/);
  assert.throws(odd({ ours: { ...figures, samples: 0 } }), /at rows\[0\]\.ours\.samples/);
  // Over a peer that did nothing.
  assert.throws(odd({ ratio: { min: Infinity, median: Infinity, max: Infinity, samples: 1 } }), /at rows\[0\]\.ratio/);
});

test('no figures follow from no samples, or from one that is no number', () => {
  for (const samples of [[], [0.03, NaN, 0.0254], [1, Infinity]]) assert.throws(() => summary(samples), RangeError);
  assert.deepEqual(summary([3, 1, 2]), { min: 1, median: 2, max: 3, samples: 3 });
});
