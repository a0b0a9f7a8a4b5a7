import type { Point as RingPoint, Points } from '../ring/ring-points.js';
import { axes, captioned, LEFT, logTicks, RIGHT, source, WIDTH } from './frame.js';
import type { Part } from './latest.js';
import { COLORS, dot, legend, polyline, scale, type LegendEntry, type Point } from './svg.js';

const bytesName = (bytes: number): string => (bytes >= 1 << 20 ? `${bytes / (1 << 20)} MiB` : `${bytes / 1024} KiB`);

/** Whose bandwidth is drawn. */
const SIDES = [
  { key: 'lockstep', label: 'Lockstep', dash: '' },
  { key: 'gloo', label: 'Gloo', dash: '6 4' },
  { key: 'tcpOneWay', label: 'one bare TCP connection in Node', dash: '2 4' },
] as const;

/** A side's median at each size, where it was measured. */
function curveOf(points: readonly RingPoint[], key: (typeof SIDES)[number]['key']): Point[] {
  return points
    .flatMap((point): Point[] => {
      const side = point[key];
      return side === undefined ? [] : [[point.bytes, side.medianGBps]];
    })
    .sort(([a], [b]) => a - b);
}

/** Bus bandwidth against size, a colour for each number of members; ours solid, Gloo dashed. */
export function ringPlot(part: Part, { results }: Points): string {
  const sizes = [...new Set(results.map(({ bytes }) => bytes))].sort((a, b) => a - b);
  const members = [...new Set(results.map(({ n }) => n))].sort((a, b) => a - b);
  const [top, bottom] = [64, 340];
  const all = SIDES.flatMap(({ key }) => curveOf(results, key).map(([, gbps]) => gbps));
  const ticks = logTicks(Math.min(...all), Math.max(...all));
  const x = scale([sizes[0], sizes[sizes.length - 1]], [LEFT + 16, RIGHT - 16], { log: true });
  const y = scale([ticks[0], ticks[ticks.length - 1]], [bottom, top], { log: true });
  const marks = axes({
    ...{ x, y, top, bottom, xName: 'bytes in the buffer', yName: 'GB/s' },
    xs: sizes.map((bytes) => [bytes, bytesName(bytes)]),
    ys: ticks.map((value) => [value, String(value)]),
  });
  const entries: LegendEntry[] = [];
  members.forEach((n, index) => {
    const measured = results.filter((one) => one.n === n);
    for (const { key, label, dash } of SIDES) {
      const curve = curveOf(measured, key);
      if (curve.length === 0) continue;
      const color = COLORS[index];
      const points = curve.map(([bytes, gbps]): Point => [x(bytes), y(gbps)]);
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
