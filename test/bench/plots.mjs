/** The plots in docs/, drawn from latest.json alone: [file name, SVG] of each part that is in it. */
import { stepOf } from './scale-model.mjs';
import { COLORS, GRID, INK, caption, dot, legend, line, picture, polyline, rect, scale, text } from './svg.mjs';
import { processorText } from './machine.mjs';

const WIDTH = 720;
const LEFT = 64;
const RIGHT = WIDTH - 24;

/** @param {{parts: object}} latest content of latest.json */
export function drawPlots({ parts }) {
  const plots = [];
  if (parts.step !== undefined) plots.push(['bench-step.svg', stepPlot(parts.step)]);
  if (parts.ring?.details.ring !== undefined) plots.push(['bench-ring.svg', ringPlot(parts.ring)]);
  if (parts.scale?.details['scale-network'] !== undefined) plots.push(['bench-scale.svg', scalePlot(parts.scale)]);
  return plots;
}

/** Where and when, for the small print. */
function source({ machine, date, commit }) {
  return `${processorText(machine)}; ${date.slice(0, 10)}, commit ${commit ?? 'unknown'}`;
}

/** Times over that of PyTorch's best variant, with the goal. */
function stepPlot(part) {
  const [top, row, bar] = [44, 26, 18];
  const groups = part.rows.map(({ ours, peer, goal, name }, index) => {
    const { peers } = part.details.step.contests[index];
    const unit = peer?.median ?? ours.median;
    const bars = [{ name: 'Lockstep', ms: ours.median, color: COLORS[0] }].concat(
      Object.entries(peers).map(([variant, { median }]) => ({
        name: `PyTorch, ${variant}`,
        ms: median,
        color: '#afb8c1',
      })),
    );
    return { name, unit, goal: goal.atMost, bars };
  });
  const most = Math.max(1, ...groups.flatMap(({ unit, bars }) => bars.map(({ ms }) => ms / unit)));
  const x = scale([0, most], [LEFT + 110, RIGHT - 104]);
  const marks = [];
  let y = top;
  for (const { name, unit, goal, bars } of groups) {
    marks.push(text(16, y + 8, name, { weight: 'bold' }));
    const first = y + 18;
    bars.forEach(({ name: label, ms, color }, index) => {
      const at = first + row * index;
      marks.push(text(x(0) - 8, at + 13, label, { anchor: 'end' }), rect(x(0), at, x(ms / unit) - x(0), bar, color));
      marks.push(text(RIGHT, at + 13, `${(ms / unit).toFixed(2)} (${ms.toFixed(0)} ms)`, { anchor: 'end' }));
    });
    const last = first + row * bars.length - (row - bar);
    marks.push(line(x(goal), first - 6, x(goal), last + 6, { color: '#cf222e', width: 2, dash: '5 4' }));
    marks.push(text(x(goal), last + 18, `goal ${goal}`, { anchor: 'middle', color: '#cf222e', size: 11 }));
    y = last + 40;
  }
  return captioned("A training step against PyTorch's best (shorter is better)", marks, y + 4, [
    'Time of a training step of 32 images over that of the quickest PyTorch variant; medians, taken in turns.',
    source(part),
  ]);
}

/** The finished picture, with its caption below `y`. */
function captioned(title, marks, y, lines) {
  const small = caption(lines, 16, y);
  const below = small.height + y;
  return picture({ width: WIDTH, height: below, title, marks: [...marks, ...small.marks] });
}

/** A frame with grid lines and tick labels. */
function axes({ x, y, xs, ys, top, bottom, xName, yName }) {
  return [
    ...ys.flatMap(([value, label]) => [
      line(LEFT, y(value), RIGHT, y(value), { color: GRID }),
      text(LEFT - 8, y(value) + 4, label, { anchor: 'end' }),
    ]),
    ...xs.flatMap(([value, label]) => [
      line(x(value), top, x(value), bottom, { color: GRID }),
      text(x(value), bottom + 18, label, { anchor: 'middle' }),
    ]),
    line(LEFT, bottom, RIGHT, bottom),
    line(LEFT, top, LEFT, bottom),
    text((LEFT + RIGHT) / 2, bottom + 36, xName, { anchor: 'middle' }),
    text(LEFT - 48, top - 12, yName),
  ];
}

/** 1, 2 and 5 times powers of ten, from at most `least` to at least `most`. */
function logTicks(least, most) {
  const all = [];
  for (let power = -6; power <= 12; power++)
    for (const digit of [1, 2, 5]) all.push(Number((digit * 10 ** power).toPrecision(1)));
  const first = all.findLastIndex((value) => value <= least);
  return all.slice(first, all.findIndex((value) => value >= most) + 1);
}

const bytesName = (bytes) => (bytes >= 1 << 20 ? `${bytes / (1 << 20)} MiB` : `${bytes / 1024} KiB`);

/** Bus bandwidth against size, a colour for each number of members; ours solid, Gloo dashed. */
function ringPlot(part) {
  const { results } = part.details.ring;
  const sizes = [...new Set(results.map(({ bytes }) => bytes))].sort((a, b) => a - b);
  const members = [...new Set(results.map(({ n }) => n))].sort((a, b) => a - b);
  const [top, bottom] = [64, 340];
  const sides = [
    { key: 'lockstep', label: 'Lockstep', dash: '' },
    { key: 'gloo', label: 'Gloo', dash: '6 4' },
    { key: 'tcpOneWay', label: 'one bare TCP connection in Node', dash: '2 4' },
  ];
  const all = results.flatMap((one) => sides.flatMap(({ key }) => (key in one ? [one[key].medianGBps] : [])));
  const ticks = logTicks(Math.min(...all), Math.max(...all));
  const x = scale([sizes[0], sizes.at(-1)], [LEFT + 16, RIGHT - 16], { log: true });
  const y = scale([ticks[0], ticks.at(-1)], [bottom, top], { log: true });
  const marks = axes({
    ...{ x, y, top, bottom, xName: 'bytes in the buffer', yName: 'GB/s' },
    xs: sizes.map((bytes) => [bytes, bytesName(bytes)]),
    ys: ticks.map((value) => [value, String(value)]),
  });
  const entries = [];
  members.forEach((n, index) => {
    for (const { key, label, dash } of sides) {
      const of = results.filter((one) => one.n === n && key in one).sort((a, b) => a.bytes - b.bytes);
      if (of.length === 0) continue;
      const color = COLORS[index];
      const points = of.map((one) => [x(one.bytes), y(one[key].medianGBps)]);
      marks.push(polyline(points, { color, dash }));
      if (key === 'lockstep') marks.push(...points.map(([px, py]) => dot(px, py, color, { radius: 3 })));
      entries.push({ label: `${label}, n = ${n}`, color, dash, width: 2 });
    }
  });
  const half = Math.ceil(entries.length / 2);
  marks.push(
    ...legend(entries.slice(0, half), LEFT, bottom + 64),
    ...legend(entries.slice(half), WIDTH / 2, bottom + 64),
  );
  const below = bottom + 64 + 18 * half;
  return captioned('Ring all-reduce (higher is better)', marks, below + 8, [
    'Bus bandwidth: bytes / seconds x 2(n-1)/n; medians, taken in turns; real processes on one host, ours over local sockets.',
    source(part),
  ]);
}

/**
 * What the third curve assumes of a machine that was not measured: a GPU node. Its fixed time and its coordination are those of a
 * whole core here, its processor seconds a byte and its seconds a hop those of this machine's free link.
 */
const GPU = { microbatchSeconds: 0.05, images: 256, microbatches: 1, bytesASecond: 25e9 / 8, network: '25 Gbit/s' };
const LARGEST = 512;

const compact = new Intl.NumberFormat('en', { notation: 'compact' });

function scalePlot(part) {
  const { points, constants, coreShare, microbatchSize, rate, ring } = part.details['scale-network'];
  const { unlimited } = ring;
  const gpu = {
    ...constants,
    compute: GPU.microbatchSeconds,
    fixed: constants.fixed * coreShare,
    coordination: constants.coordination * coreShare,
    noise: 0.02 * GPU.microbatchSeconds,
    alpha: unlimited.alpha,
    beta: Math.max(unlimited.beta, 1 / GPU.bytesASecond),
  };
  const curves = [
    {
      m: 1,
      images: microbatchSize,
      with: constants,
      label: `measured workers: ${coreShare} core, ${rate}, ${microbatchSize} images each`,
    },
    { m: 4, images: microbatchSize, with: constants, label: `the same, ${4 * microbatchSize} images each` },
    {
      m: GPU.microbatches,
      images: GPU.images,
      with: gpu,
      label: `assumed GPU: ${GPU.images} images in ${1000 * GPU.microbatchSeconds} ms, ${GPU.network}`,
    },
  ];
  const rateOf = ({ m, images, with: set }, n) => (n * m * images) / stepOf({ n, m }, set).seconds;
  const [top, bottom] = [64, 400];
  const sizes = Array.from({ length: Math.log2(LARGEST) + 1 }, (_, power) => 2 ** power);
  const least = Math.min(...curves.map((curve) => rateOf(curve, 1)));
  const most = Math.max(...curves.map((curve) => LARGEST * rateOf(curve, 1)));
  const decades = [];
  for (let value = 10 ** Math.floor(Math.log10(least)); value / 10 < most; value *= 10) decades.push(value);
  const x = scale([1, LARGEST], [LEFT + 16, RIGHT - 16], { log: true });
  const y = scale([decades[0], decades.at(-1)], [bottom, top], { log: true });
  const marks = axes({
    ...{ x, y, top, bottom, xName: 'workers', yName: 'images a second' },
    xs: sizes.map((n) => [n, String(n)]),
    ys: decades.map((value) => [value, compact.format(value)]),
  });
  const entries = [];
  curves.forEach((curve, index) => {
    const color = COLORS[index];
    const alone = rateOf(curve, 1);
    marks.push(
      polyline(
        [
          [x(1), y(alone)],
          [x(LARGEST), y(alone * LARGEST)],
        ],
        { color, width: 1, dash: '4 4' },
      ),
    );
    marks.push(
      polyline(
        sizes.map((n) => [x(n), y(rateOf(curve, n))]),
        { color },
      ),
    );
    const kept = rateOf(curve, LARGEST) / (LARGEST * alone);
    entries.push({ label: `${curve.label}; at ${LARGEST}: ${Math.round(100 * kept)} % of ideal`, color, width: 2 });
  });
  for (const { workers, microbatchesEach, seconds, use } of points) {
    const color = COLORS[microbatchesEach === 1 ? 0 : 1];
    if (![1, 4].includes(microbatchesEach)) continue;
    const images = (workers * microbatchesEach * microbatchSize) / seconds;
    marks.push(dot(x(workers), y(images), color, { hollow: use !== 'fitted' }));
  }
  entries.push({ label: 'ideal: n times one worker', color: INK, dash: '4 4' });
  entries.push({ label: 'measured, the model was fitted to it', color: INK, dot: true });
  entries.push({ label: 'measured, held out', color: INK, dot: true, hollow: true });
  marks.push(...legend(entries, LEFT, bottom + 62));
  const below = bottom + 62 + 18 * entries.length;
  const hidden = Math.round(100 * constants.hidden);
  return captioned('Throughput with n workers: measured to 4, modelled to 512', marks, below + 8, [
    `Model of a step: fixed + microbatches x compute + the wait for the slowest of n + coordination + the part of the ring's time that is not hidden (${hidden} % is, as measured with two workers). Ring: 2(n-1)(alpha + S beta / n), two tiers from 64 workers on. The batch grows with the workers. Default network, 3.1 MB of sums.`,
    `Assumed, not measured: the GPU, whose steps vary by 2 %. Its alpha (${(1e3 * gpu.alpha).toFixed(2)} ms) and beta (${(1e9 * gpu.beta).toFixed(2)} ns a byte) are this machine's with a free link, its fixed time and coordination this machine's with a whole core. Nothing beyond 4 workers was measured.`,
    source(part),
  ]);
}
