/**
 * Rows (result.mjs) from what ring.mjs and train.mjs print. They measure; how that enters the table is said here.
 *
 * ring.mjs:  {bench: 'ring', results: [{n, elements, lockstep, gloo?, raw?, ...}]}; seconds or GB/s by name.
 * train.mjs: {bench: 'train', lockstep: {imagesPerSecond}, ddp: {imagesPerSecond, variant, version}, ratio, idleShare}.
 */
import { checkResult, ratioOf, row } from './result.mjs';

/** From this size on the ring must not be slower than Gloo, with these numbers of members. Bytes. */
const GOAL_FROM_BYTES = 1 << 20;
const GOAL_MEMBERS = [2, 4];
const ADAPTERS = { ring, train };

/** A part's result, whichever way its script prints it. Throws if it is none. */
export function adapt(part, printed) {
  return checkResult(part in ADAPTERS && printed.rows === undefined ? ADAPTERS[part](printed) : printed);
}

/** Figures in which a missing maximum is taken as the median: less is known, not more. */
function figures({ min, median, max, samples = 1 }) {
  return { min: min ?? median, median, max: max ?? median, samples };
}

/** GB/s of one side of a ring's point; the least seconds are the most bandwidth. */
function bandwidth({ medianGBps, bestGBps, samples }) {
  return { min: medianGBps, median: medianGBps, max: bestGBps, samples: samples ?? 1 };
}

function sizeName(bytes) {
  const [unit, name] = bytes >= 1 << 20 ? [1 << 20, 'MiB'] : [1 << 10, 'KiB'];
  const size = bytes / unit;
  return `${Number.isInteger(size) ? size : size.toFixed(1)} ${name}`;
}

function ring(printed) {
  const rows = printed.results.map(({ n, elements, lockstep, gloo, torch }) => {
    const bytes = elements * 4;
    const ours = bandwidth(lockstep);
    const peer =
      gloo === undefined ? null : { name: 'Gloo', version: `torch ${torch ?? printed.torch ?? '?'}`, ...bandwidth(gloo) };
    return row({
      name: `ring all-reduce, n = ${n}, ${sizeName(bytes)}, bus bandwidth`,
      unit: 'GB/s',
      ours,
      peer,
      ratio: peer === null ? null : ratioOf(ours, peer, 'max'),
      goal: bytes >= GOAL_FROM_BYTES && GOAL_MEMBERS.includes(n) ? { of: 'ratio', atLeast: 1 } : null,
    });
  });
  return { ...printed, bench: 'ring', rows };
}

function train(printed) {
  const { lockstep, ddp, ratio, idleShare } = printed;
  const ours = figures(lockstep.imagesPerSecond);
  const peer =
    ddp === undefined || ddp === null
      ? null
      : { name: `PyTorch DDP (gloo), ${ddp.variant}`, version: ddp.version, ...figures(ddp.imagesPerSecond) };
  const rows = [
    row({
      name: 'whole job, 2 workers of one thread, global batch 32',
      unit: 'images/s',
      ours,
      peer,
      ratio: peer === null ? null : ratio === undefined ? ratioOf(ours, peer, 'max') : figures(ratio),
      goal: { of: 'ratio', atLeast: 1.1 },
    }),
  ];
  if (idleShare !== undefined)
    rows.push(
      row({
        name: "share of the time in which the compute thread is idle",
        unit: '%',
        ours: figures(Object.fromEntries(Object.entries(idleShare).map(([key, value]) => [key, key === 'samples' ? value : value * 100]))),
        goal: { of: 'ours', atMost: 3 },
      }),
    );
  return { ...printed, rows };
}
