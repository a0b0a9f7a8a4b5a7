import { mean } from '../result/summary.js';

/** A way's losses, step by step. */
interface Curve {
  readonly name: string;
  readonly title: string;
  readonly losses: readonly number[];
}

const STYLES = new Map([
  ['exact', 'stroke="#1f6feb" stroke-width="5" stroke-opacity="0.35"'],
  ['float32', 'stroke="#d1242f" stroke-width="1.5"'],
  ['float32Reversed', 'stroke="#1a7f37" stroke-width="1.5" stroke-dasharray="6 4"'],
  ['exactInt16', 'stroke="#9a6700" stroke-width="1.5"'],
  ['int16', 'stroke="#8250df" stroke-width="1.5" stroke-dasharray="2 3"'],
  ['int16Stochastic', 'stroke="#1a7f37" stroke-width="1.5" stroke-dasharray="8 3"'],
]);
const styleOf = (name: string): string => STYLES.get(name) ?? 'stroke="#1f2328"';

/** Losses averaged over ten steps, on a logarithmic axis. */
export function exactnessPlot(runs: readonly Curve[], steps: number): string {
  const [width, height, left, bottom] = [640, 360, 60, 40];
  const curves = runs.map(({ losses, ...run }) => ({
    ...run,
    blocks: Array.from({ length: Math.floor(steps / 10) }, (_, block) =>
      mean(losses.slice(10 * block, 10 * block + 10)),
    ),
  }));
  const all = curves.flatMap(({ blocks }) => blocks);
  const [low, high] = [Math.log10(Math.min(...all)), Math.log10(Math.max(...all))];
  const x = (block: number): number => left + ((block * 10 + 5) / steps) * (width - left - 20);
  const y = (loss: number): number => 20 + ((high - Math.log10(loss)) / (high - low)) * (height - 20 - bottom);
  const lines = curves.map(
    ({ name, blocks }) =>
      `<polyline fill="none" ${styleOf(name)} points="${blocks.map((loss, block) => `${x(block).toFixed(1)},${y(loss).toFixed(1)}`).join(' ')}"/>`,
  );
  const legend = curves.map(
    ({ name, title }, row) =>
      `<line x1="400" x2="440" y1="${40 + 22 * row}" y2="${40 + 22 * row}" ${styleOf(name)}/><text x="450" y="${44 + 22 * row}">${title}</text>`,
  );
  const ticks = [1, 0.5, 0.2, 0.1, 0.05, 0.02]
    .filter((loss) => Math.log10(loss) >= low && Math.log10(loss) <= high)
    .map(
      (loss) =>
        `<line x1="${left}" x2="${width - 20}" y1="${y(loss)}" y2="${y(loss)}" stroke="#ddd"/><text x="${left - 8}" y="${y(loss) + 4}" text-anchor="end">${loss}</text>`,
    );
  const marks = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<text x="${left + share * (width - left - 20)}" y="${height - 18}" text-anchor="middle">${Math.round(share * steps)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<rect width="${width}" height="${height}" fill="white"/>
${[...ticks, ...marks, ...lines, ...legend].join('\n')}
<text x="${left + (width - left) / 2}" y="${height - 2}" text-anchor="middle">step</text>
<text x="14" y="${height / 2}" transform="rotate(-90 14 ${height / 2})" text-anchor="middle">loss, mean of ten steps</text>
</svg>
`;
}
