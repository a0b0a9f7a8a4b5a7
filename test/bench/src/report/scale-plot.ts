import { stepOf, type Constants } from '../scale/model.js';
import type { NetworkDetails } from '../scale/network-details.js';
import { axes, captioned, LEFT, RIGHT, source } from './frame.js';
import type { Part } from './latest.js';
import { COLORS, dot, INK, legend, polyline, scale, type LegendEntry } from './svg.js';

/**
 * What the third curve assumes of a machine that was not measured: a GPU node. Its fixed time and its coordination are those of a
 * whole core here, its processor seconds a byte and its seconds a hop those of this machine's free link.
 */
const GPU = { microbatchSeconds: 0.05, images: 256, microbatches: 1, bytesASecond: 25e9 / 8, network: '25 Gbit/s' };
const LARGEST = 512;

const compact = new Intl.NumberFormat('en', { notation: 'compact' });

interface Curve {
  /** Microbatches of each worker, of so many images. */
  readonly m: number;
  readonly images: number;
  readonly constants: Constants;
  readonly label: string;
}

/** Images a second of n workers. */
const rateOf = ({ m, images, constants }: Curve, n: number): number =>
  (n * m * images) / stepOf({ n, m }, constants).seconds;

/** The constants of the assumed GPU. */
function assumedGpu({ constants, coreShare, ring: { unlimited } }: NetworkDetails): Constants {
  return {
    ...constants,
    compute: GPU.microbatchSeconds,
    fixed: constants.fixed * coreShare,
    coordination: constants.coordination * coreShare,
    noise: 0.02 * GPU.microbatchSeconds,
    alpha: unlimited.alpha,
    beta: Math.max(unlimited.beta, 1 / GPU.bytesASecond),
  };
}

function curvesOf({ constants, coreShare, microbatchSize, rate }: NetworkDetails, gpu: Constants): Curve[] {
  return [
    {
      m: 1,
      images: microbatchSize,
      constants,
      label: `measured workers: ${coreShare} core, ${rate}, ${microbatchSize} images each`,
    },
    { m: 4, images: microbatchSize, constants, label: `the same, ${4 * microbatchSize} images each` },
    {
      m: GPU.microbatches,
      images: GPU.images,
      constants: gpu,
      label: `assumed GPU: ${GPU.images} images in ${1000 * GPU.microbatchSeconds} ms, ${GPU.network}`,
    },
  ];
}

/** Powers of ten around these. */
function decadesOf(least: number, most: number): number[] {
  const decades: number[] = [];
  for (let value = 10 ** Math.floor(Math.log10(least)); value / 10 < most; value *= 10) decades.push(value);
  return decades;
}

/** Images a second with n workers: measured, modelled, and ideal. */
export function scalePlot(part: Part, details: NetworkDetails): string {
  const { points, constants, microbatchSize } = details;
  const gpu = assumedGpu(details);
  const curves = curvesOf(details, gpu);
  const [top, bottom] = [64, 400];
  const sizes = Array.from({ length: Math.log2(LARGEST) + 1 }, (_, power) => 2 ** power);
  const least = Math.min(...curves.map((curve) => rateOf(curve, 1)));
  const most = Math.max(...curves.map((curve) => LARGEST * rateOf(curve, 1)));
  const decades = decadesOf(least, most);
  const x = scale([1, LARGEST], [LEFT + 16, RIGHT - 16], { log: true });
  const y = scale([decades[0], decades[decades.length - 1]], [bottom, top], { log: true });
  const marks = axes({
    ...{ x, y, top, bottom, xName: 'workers', yName: 'images a second' },
    xs: sizes.map((n) => [n, String(n)]),
    ys: decades.map((value) => [value, compact.format(value)]),
  });
  const entries: LegendEntry[] = [];
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
    if (![1, 4].includes(microbatchesEach)) continue;
    const color = COLORS[microbatchesEach === 1 ? 0 : 1];
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
