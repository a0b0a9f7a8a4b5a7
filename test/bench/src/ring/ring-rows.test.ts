import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Points, Side } from './ring-points.js';
import { ringMemoryRows, ringRows, type MemorySample } from './ring-rows.js';

const side = (medianGBps: number): Side => ({
  medianGBps,
  bestGBps: 2 * medianGBps,
  minSeconds: 1,
  medianSeconds: 2,
});
const ours = { samples: 5, lockstep: side(1), lockstepTcp: side(0.5) };
const RING: Points = {
  node: 'v20.0.0',
  peers: { torch: '2.15.0' },
  results: [
    { n: 2, bytes: 1 << 16, ...ours, gloo: side(2), tcpOneWay: side(4) },
    { n: 2, bytes: 1 << 20, ...ours, gloo: side(0.5), tcpOneWay: side(2) },
    { n: 8, bytes: 1 << 20, ...ours, gloo: side(2) },
  ],
};

test('the ring has goals from 1 MiB on: against Gloo with 2 and 4 members, against bare TCP with 2; over TCP it is only told', () => {
  assert.deepEqual(
    ringRows(RING).map(({ name, peer, ratio, met }) => [name, peer?.name, ratio?.median, met]),
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

test('a point without peers has a row of ours alone', () => {
  const [point] = ringRows({ ...RING, results: [{ n: 2, bytes: 1 << 20, ...ours }] });
  assert.deepEqual([point.peer, point.ratio, point.goal], [null, null, null]);
});

test('a heap that grows by a kibibyte a step is not flat once all is compiled, one that goes up and down is', () => {
  const memory = (kib: (step: number) => number): MemorySample[] =>
    [0, 100, 200, 300].map((step) => ({
      ...{ step, heapUsed: 1024 * kib(step), external: 10, arrayBuffers: 4000 },
      garbage: step < 300 ? 1024 * step : 0,
    }));
  const rowsOf = (kib: (step: number) => number): ReturnType<typeof ringMemoryRows> =>
    ringMemoryRows({ gradientBytes: 1000, from: 100, members: [memory(kib), memory(() => 7)] });
  const [heap, garbage, buffers] = rowsOf((step) => step);
  assert.deepEqual([heap.ours.median, heap.met], [200, false]);
  assert.deepEqual([garbage.ours.min, garbage.ours.max, garbage.met], [100, 200, null]);
  assert.deepEqual([buffers.ours.median, buffers.met], [4, false]);
  assert.equal(rowsOf((step) => (step / 100) % 2)[0].met, true);
});
