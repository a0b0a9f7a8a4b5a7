// Bus bandwidth of the ring all-reduce over loopback: real processes, real sockets.
//
//   node test/bench/ring.mjs [--python PATH] [--rounds N] [--n 2,4,8] [--sizes BYTES,BYTES] [--quick] [--memory]
//
// Prints one JSON object. After the build; about 2 minutes, --quick (fewer rounds, four sizes) half a minute.
//
// The ring is measured twice: `lockstep` as members on one host run it, over local sockets; `lockstepTcp` over TCP on loopback,
// as peers are. Peers take turns with the two, size by size, so that all see the same machine in the same seconds:
//   gloo       with a Python that has torch (--python or LOCKSTEP_BENCH_PYTHON): its all_reduce of float32
//   tcpOneWay  at n = 2: as many bytes as the ring sends each way, over one bare TCP connection of two Node processes
//   tcpTwoWay  the same in both directions at once, as the ring has it: bytes a second of each direction
// One sample is the slowest rank's time of several all-reduces without a pause between them, over their number, after a
// barrier. busbw = bytes / seconds * 2(n-1)/n, which is what each member sends a second; ratios are of medians.
//
// --memory instead: heap and memory, after a collection each, and garbage of a step, of two members over 3000 steps of a gradient
// of 770,000 parameters.
import { parseArgs } from 'node:util';
import { GlooGroup, Group } from './ring-group.mjs';
import { print } from './result.mjs';
import { summary } from './summary.mjs';

const KIB = 1024;
const SIZES = [64, 256, 1024, 4096, 16_384, 65_536].map((size) => size * KIB);
const QUICK_SIZES = [64, 1024, 4096, 16_384].map((size) => size * KIB);
/** All-reduces in a sample: one that takes a few milliseconds mostly tells which process slept when it was asked. */
const SAMPLE_BYTES = 32 * 1024 * KIB;
const MOST_REPEATS = 24;
/** The first rounds of a size grow the kernel's socket buffers. */
const WARM_UP = 2;
/**
 * Before all, as many as it takes until V8 has compiled what a job of thousands of steps runs compiled: some hundred of each
 * kind, of small chunks, of chunks in one segment and in several.
 */
const FIRST = { bytes: [64, 1024, 4096].map((size) => size * KIB), repeats: 8, milliseconds: 4000 };

/** Over the first steps V8 compiles, and keeps its code in the heap; the thousand after MEMORY_FROM tell whether anything else stays. */
const MEMORY = { kind: 'memory', elements: 770_000, steps: 3000, every: 100 };
const MEMORY_FROM = 2000;

const slowest = (seconds) => Math.max(...seconds);

/** What is measured at n members: name, and how to take a sample in seconds. */
async function contenders(n, python) {
  const ring = await Group.start('ring-member.mjs', n);
  const overTcp = await Group.start('ring-member.mjs', n, 'tcp');
  const gloo = python ? await GlooGroup.start(python, n) : null;
  const tcp = n === 2 ? await Group.start('ring-tcp.mjs', 2) : null;
  const flow = (twoWay) => async (bytes, repeats) => {
    const spans = await tcp.tell({ bytes: bytes * repeats, twoWay });
    return (Math.max(...spans.map(({ end }) => end)) - Math.min(...spans.map(({ start }) => start))) / repeats;
  };
  const reduction = (group) => async (bytes, repeats) => slowest(await group.tell({ elements: bytes / 4, repeats }));
  return {
    samplers: {
      lockstep: reduction(ring),
      lockstepTcp: reduction(overTcp),
      ...(gloo && { gloo: reduction(gloo) }),
      ...(tcp && { tcpOneWay: flow(false), tcpTwoWay: flow(true) }),
    },
    versions: gloo?.versions ?? {},
    stop: () => Promise.all([ring, overTcp, gloo, tcp].map((group) => group?.stop())),
  };
}

async function measure(n, { python, sizes, rounds }) {
  const { samplers, versions, stop } = await contenders(n, python);
  const names = Object.keys(samplers);
  const results = [];
  for (const name of names) await warmUp(samplers[name]);
  for (const bytes of sizes) {
    const repeats = Math.max(1, Math.min(MOST_REPEATS, SAMPLE_BYTES / bytes));
    const samples = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = -WARM_UP; round < rounds; round++) {
      for (const name of names) {
        const seconds = await samplers[name](bytes, repeats);
        if (round >= 0) samples[name].push(seconds);
      }
    }
    results.push(resultOf(n, bytes, samples));
  }
  await stop();
  return { results, versions };
}

async function warmUp(sampler) {
  const end = performance.now() + FIRST.milliseconds;
  while (performance.now() < end) for (const bytes of FIRST.bytes) await sampler(bytes, FIRST.repeats);
}

function resultOf(n, bytes, samples) {
  const factor = (2 * (n - 1)) / n;
  const figures = Object.entries(samples).map(([name, seconds]) => {
    const { min, median } = summary(seconds);
    const gbps = (s) => Number(((bytes * factor) / s / 1e9).toFixed(3));
    return [name, { minSeconds: min, medianSeconds: median, bestGBps: gbps(min), medianGBps: gbps(median) }];
  });
  const { lockstep, lockstepTcp, ...peers } = Object.fromEntries(figures);
  const ratiosOf = (ours) =>
    Object.fromEntries(
      Object.entries(peers).map(([name, peer]) => [name, Number((peer.medianSeconds / ours.medianSeconds).toFixed(3))]),
    );
  const ratios = { ratios: ratiosOf(lockstep), ratiosTcp: ratiosOf(lockstepTcp) };
  return { n, bytes, samples: samples.lockstep.length, lockstep, lockstepTcp, ...peers, ...ratios };
}

async function main({ python, rounds, sizes, members }) {
  const all = [];
  for (const n of members) all.push(await measure(n, { python, sizes, rounds }));
  const peers = Object.assign({}, ...all.map(({ versions }) => versions));
  print({ bench: 'ring', node: process.version, peers, results: all.flatMap(({ results }) => results) });
}

async function memory() {
  const ring = await Group.start('ring-member.mjs', 2);
  const members = await ring.tell(MEMORY);
  await ring.stop();
  const gradientBytes = MEMORY.elements * 4;
  print({ bench: 'ring-memory', node: process.version, gradientBytes, from: MEMORY_FROM, members });
}

const list = (text) => text.split(',').map(Number);
const { values } = parseArgs({
  options: {
    python: { type: 'string', default: process.env.LOCKSTEP_BENCH_PYTHON ?? '' },
    rounds: { type: 'string' },
    n: { type: 'string', default: '2,4,8' },
    sizes: { type: 'string' },
    quick: { type: 'boolean', default: false },
    memory: { type: 'boolean', default: false },
  },
});
if (values.memory) await memory();
else {
  await main({
    python: values.python,
    rounds: Number(values.rounds ?? (values.quick ? 5 : 11)),
    sizes: values.sizes ? list(values.sizes) : values.quick ? QUICK_SIZES : SIZES,
    members: list(values.n),
  });
}
