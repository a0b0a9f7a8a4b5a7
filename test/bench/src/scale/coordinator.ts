// What a coordinator costs with many workers (coordinator-cost.ts).
//
//   node test/bench/dist/scale/coordinator.js [--quick] [N ...]      prints JSON; default 8 64 512 4096, quick: 8 64
import { parseArgs } from 'node:util';
import { print, row } from '../result/result.js';
import { coordinatorCost, TENSORS } from './coordinator-cost.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false } },
});
const usual = values.quick ? [8, 64] : [8, 64, 512, 4096];
const results = (positionals.length > 0 ? positionals.map(Number) : usual).map(coordinatorCost);
print({
  bench: 'scale-coordinator',
  rows: results.map(({ workers, totalMs }) =>
    row({ name: `coordinator, one core's time a step, ${workers} workers`, unit: 'ms', ours: totalMs }),
  ),
  tensors: TENSORS,
  results,
});
