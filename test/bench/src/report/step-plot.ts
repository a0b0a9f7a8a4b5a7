import type { Contests } from '../step/contest-details.js';
import { captioned, LEFT, RIGHT, source } from './frame.js';
import type { Part } from './latest.js';
import { COLORS, line, rect, scale, text } from './svg.js';

interface Bar {
  readonly name: string;
  readonly ms: number;
  readonly color: string;
}

/** Times over that of PyTorch's best variant, with the goal. */
export function stepPlot(part: Part, { contests }: Contests): string {
  const [top, row, bar] = [44, 26, 18];
  const groups = part.rows.map(({ ours, peer, goal, name }, index) => {
    const unit = peer?.median ?? ours.median;
    const peers = Object.entries(contests[index].peers).map(([variant, { median }]): Bar => ({
      name: `PyTorch, ${variant}`,
      ms: median,
      color: '#afb8c1',
    }));
    const bars: readonly Bar[] = [{ name: 'Lockstep', ms: ours.median, color: COLORS[0] }, ...peers];
    return { name, unit, goal: goal?.atMost, bars };
  });
  const most = Math.max(1, ...groups.flatMap(({ unit, bars }) => bars.map(({ ms }) => ms / unit)));
  const x = scale([0, most], [LEFT + 110, RIGHT - 104]);
  const marks: string[] = [];
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
    if (goal !== undefined) {
      marks.push(line(x(goal), first - 6, x(goal), last + 6, { color: '#cf222e', width: 2, dash: '5 4' }));
      marks.push(text(x(goal), last + 18, `goal ${goal}`, { anchor: 'middle', color: '#cf222e', size: 11 }));
    }
    y = last + 40;
  }
  return captioned("A training step against PyTorch's best (shorter is better)", marks, y + 4, [
    'Time of a training step of 32 images over that of the quickest PyTorch variant; medians, taken in turns.',
    source(part),
  ]);
}
