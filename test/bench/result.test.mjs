import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adapt } from './adapters.mjs';
import { markdown } from './report.mjs';
import { checkResult, row } from './result.mjs';
import { summary } from './summary.mjs';

const figures = summary([2, 1, 3]);
const peer = { name: 'Peer', version: '1.2', ...figures };
const rowWith = (rest) => row({ name: 'a', unit: 'ms', ours: figures, peer, ratio: figures, ...rest });

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

test('what a script printed in another shape is refused, with what is wrong', () => {
  assert.throws(() => checkResult({ rows: [rowWith({})] }), /no name/);
  assert.throws(() => checkResult({ bench: 'step', rows: [] }), /step has no rows/);
  assert.throws(
    () => checkResult({ bench: 'step', rows: [{ ...rowWith({}), ours: { median: 1 } }] }),
    /a: ours is not/,
  );
  assert.throws(() => checkResult({ bench: 'step', rows: [{ ...rowWith({}), peer: figures }] }), /a: the peer is not/);
});

const side = (medianGBps) => ({ medianGBps, bestGBps: 2 * medianGBps, minSeconds: 1, medianSeconds: 2 });
const RING = {
  bench: 'ring',
  node: 'v20.0.0',
  peers: { torch: '2.15.0' },
  results: [
    { n: 2, bytes: 1 << 16, samples: 5, lockstep: side(1), lockstepTcp: side(0.5), gloo: side(2), tcpOneWay: side(4) },
    {
      n: 2,
      bytes: 1 << 20,
      samples: 5,
      lockstep: side(1),
      lockstepTcp: side(0.5),
      gloo: side(0.5),
      tcpOneWay: side(2),
    },
    { n: 8, bytes: 1 << 20, samples: 5, lockstep: side(1), lockstepTcp: side(0.5), gloo: side(2) },
  ],
};

test('the ring has goals from 1 MiB on: against Gloo with 2 and 4 members, against bare TCP with 2; over TCP it is only told', () => {
  const { rows } = adapt(RING);
  assert.deepEqual(
    rows.map(({ name, peer: against, ratio, met }) => [name, against.name, ratio.median, met]),
    [
      ['ring, n = 2, 64 KiB, bus bandwidth', 'Gloo', 0.5, null],
      ['ring, n = 2, 64 KiB, bus bandwidth', 'one TCP connection of two Node processes', 0.25, null],
      ['ring, n = 2, 1 MiB, bus bandwidth', 'Gloo', 2, true],
      ['ring, n = 2, 1 MiB, bus bandwidth', 'one TCP connection of two Node processes', 0.5, false],
      ['ring, n = 8, 1 MiB, bus bandwidth', 'Gloo', 0.5, null],
      ['ring over TCP, n = 2, 64 KiB, bus bandwidth', 'Gloo', 0.25, null],
      ['ring over TCP, n = 2, 64 KiB, bus bandwidth', 'one TCP connection of two Node processes', 0.125, null],
      ['ring over TCP, n = 2, 1 MiB, bus bandwidth', 'Gloo', 1, null],
      ['ring over TCP, n = 2, 1 MiB, bus bandwidth', 'one TCP connection of two Node processes', 0.25, null],
      ['ring over TCP, n = 8, 1 MiB, bus bandwidth', 'Gloo', 0.25, null],
    ],
  );
});

test('the table says of each row whether its goal is met, and how many are', () => {
  const machine = { cpu: 'C', cores: 2, instructions: 'AVX2', memoryGiB: 4, kernel: '6', node: 'v20.0.0' };
  const rows = [
    rowWith({ goal: { of: 'ratio', atMost: 1 } }),
    rowWith({ goal: { of: 'ratio', atMost: 3 } }),
    rowWith({}),
  ];
  const part = { date: '2026-01-02T03:04:05.000Z', commit: 'abc', seconds: 1, quick: false, machine, rows };
  const text = markdown({ parts: { step: part } });
  assert.match(text, /Goals met: 1 of 2\./);
  assert.match(text, /\| ratio <= 1 \| \*\*not met\*\* \|/);
  assert.match(text, /\| ratio <= 3 \| met \|/);
  assert.match(text, /\| 2 \(1 \.\. 3\): Peer 1\.2 \|/);
  assert.match(text, /2026-01-02 03:04 UTC, commit abc/);
});

test('a heap that grows by a kibibyte a step is not flat once all is compiled, one that goes up and down is', () => {
  const memory = (kib) =>
    [0, 100, 200, 300].map((step) => ({
      ...{ step, heapUsed: 1024 * kib(step), external: 10, arrayBuffers: 4000 },
      garbage: step < 300 ? 1024 * step : 0,
    }));
  const rowsOf = (kib) =>
    adapt({ bench: 'ring-memory', gradientBytes: 1000, from: 100, members: [memory(kib), memory(() => 7)] }).rows;
  const [heap, garbage, buffers] = rowsOf((step) => step);
  assert.deepEqual([heap.ours.median, heap.met], [200, false]);
  assert.deepEqual([garbage.ours.min, garbage.ours.max, garbage.met], [100, 200, null]);
  assert.deepEqual([buffers.ours.median, buffers.met], [4, false]);
  assert.equal(rowsOf((step) => (step / 100) % 2)[0].met, true);
});
