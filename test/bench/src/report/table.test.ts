import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PLOTS, RESULTS } from '../places.js';
import { row, type Measured, type Row } from '../result/result.js';
import { summary } from '../result/summary.js';
import { readLatest } from './latest.js';
import { drawPlots } from './plots.js';
import { markdown } from './table.js';

const figures = summary([2, 1, 3]);
const peer = { name: 'Peer', version: '1.2', ...figures };
const rowWith = (rest: Partial<Measured>): Row =>
  row({ name: 'a', unit: 'ms', ours: figures, peer, ratio: figures, ...rest });

test('the table says of each row whether its goal is met, and how many are', () => {
  const machine = { cpu: 'C', cores: 2, instructions: 'AVX2', memoryGiB: 4, kernel: '6', node: 'v20.0.0' };
  const rows = [
    rowWith({ goal: { of: 'ratio', atMost: 1 } }),
    rowWith({ goal: { of: 'ratio', atMost: 3 } }),
    rowWith({}),
  ];
  const part = {
    date: '2026-01-02T03:04:05.000Z',
    commit: 'abc',
    seconds: 1,
    quick: false,
    machine,
    rows,
    details: {},
  };
  const text = markdown({ parts: { step: part } });
  assert.match(text, /Goals met: 1 of 2\./);
  assert.match(text, /\| ratio <= 1 \| \*\*not met\*\* \|/);
  assert.match(text, /\| ratio <= 3 \| met \|/);
  assert.match(text, /\| 2 \(1 \.\. 3\): Peer 1\.2 \|/);
  assert.match(text, /2026-01-02 03:04 UTC, commit abc/);
});

test('the table and the plots of the documentation are those of what was measured last', () => {
  const latest = readLatest();
  assert.equal(readFileSync(new URL('latest.md', RESULTS), 'utf8'), markdown(latest));
  for (const [name, svg] of drawPlots(latest)) assert.equal(readFileSync(new URL(name, PLOTS), 'utf8'), svg, name);
});
