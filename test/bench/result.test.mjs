import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adapt } from './adapters.mjs';
import { markdown } from './report.mjs';
import { describeMachine, processorText } from './machine.mjs';
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

test('figures that are no order of any samples are refused: a sample was lost on their way', () => {
  const odd = (rest) => checkResult({ bench: 'train', rows: [rowWith(rest)] });
  assert.throws(() => odd({ ours: { min: 3, median: 0, max: 2.54, samples: 3 } }), /a: ours is not .* in that order/);
  assert.throws(() => odd({ ratio: { min: 1, median: 3, max: 2, samples: 3 } }), /a: ratio is not/);
  assert.throws(() => odd({ ours: { ...figures, samples: 0 } }), /a: ours is not/);
  // Over a peer that did nothing.
  assert.throws(
    () => odd({ ratio: { min: Infinity, median: Infinity, max: Infinity, samples: 1 } }),
    /a: ratio is not/,
  );
});

test('no figures follow from no samples, or from one that is no number', () => {
  for (const samples of [[], [0.03, NaN, 0.0254], [1, Infinity], [1, null]])
    assert.throws(() => summary(samples), RangeError);
  assert.deepEqual(summary([3, 1, 2]), { min: 1, median: 2, max: 3, samples: 3 });
});

test('a share that was not measured in one round, which JSON makes null, does not become 0 %', () => {
  const rate = { min: 1, median: 2, max: 3, samples: 3 };
  // As it was printed once: [0.03, NaN, 0.0254] stays in this order when it is sorted, and NaN becomes null.
  const idleShare = JSON.parse(JSON.stringify({ min: 0.03, median: NaN, max: 0.0254, samples: 3 }));
  const printed = { bench: 'train', lockstep: { imagesPerSecond: rate }, idleShare };
  assert.throws(() => adapt(printed), /a share of null \(0.03 .. 0.0254\)/);
  assert.throws(() => adapt({ ...printed, idleShare: { ...rate, samples: 3 } }), /a share of 2/);
  const [, idle] = adapt({ ...printed, idleShare: { min: 0.02, median: 0.03, max: 0.04, samples: 3 } }).rows;
  assert.deepEqual(idle.ours, { min: 2, median: 3, max: 4, samples: 3 });
});

test('a processor is named by what /proc/cpuinfo says, with its vector instructions, and a limit set for oneDNN', () => {
  const cpuinfo = (flags) =>
    `processor\t: 0\nvendor_id\t: X\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: Some CPU\nstepping\t: 1\nflags\t\t: fpu ${flags}\n`;
  const textOf = (flags, env = {}) => {
    const machine = describeMachine({ cpuinfo: cpuinfo(flags), env });
    return processorText({ ...machine, cores: 2 });
  };
  assert.equal(textOf('avx avx2 fma'), 'Some CPU (family 25, model 1), 2 cores, AVX2, no AVX-512');
  assert.equal(textOf('avx avx2 avx512f fma'), 'Some CPU (family 25, model 1), 2 cores, AVX-512');
  assert.match(textOf('avx avx2 avx512f avx512_vnni'), /AVX-512 with VNNI$/);
  assert.match(textOf('avx avx2 avx512f', { ONEDNN_MAX_CPU_ISA: 'AVX2' }), /AVX-512, oneDNN held to AVX2$/);
  assert.match(textOf(''), /no vector instructions known$/);
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
