/** What all plots have: axes, a caption, where and when it was measured. */
import { processorText } from '../result/machine.js';
import type { Part } from './latest.js';
import { caption, GRID, line, picture, text, type Scale } from './svg.js';

export const WIDTH = 720;
export const LEFT = 64;
export const RIGHT = WIDTH - 24;

/** Where and when, for the small print. */
export function source({ machine, date, commit }: Part): string {
  return `${processorText(machine)}; ${date.slice(0, 10)}, commit ${commit ?? 'unknown'}`;
}

/** The finished picture, with its caption below `y`. */
export function captioned(title: string, marks: readonly string[], y: number, lines: readonly string[]): string {
  const small = caption(lines, 16, y);
  const below = small.height + y;
  return picture({ width: WIDTH, height: below, title, marks: [...marks, ...small.marks] });
}

/** A value of an axis, and what stands there. */
export type Tick = readonly [number, string];

interface Axes {
  readonly x: Scale;
  readonly y: Scale;
  readonly xs: readonly Tick[];
  readonly ys: readonly Tick[];
  readonly top: number;
  readonly bottom: number;
  readonly xName: string;
  readonly yName: string;
}

/** A frame with grid lines and tick labels. */
export function axes({ x, y, xs, ys, top, bottom, xName, yName }: Axes): string[] {
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
export function logTicks(least: number, most: number): number[] {
  const all: number[] = [];
  for (let power = -6; power <= 12; power++)
    for (const digit of [1, 2, 5]) all.push(Number((digit * 10 ** power).toPrecision(1)));
  const first = all.findLastIndex((value) => value <= least);
  return all.slice(first, all.findIndex((value) => value >= most) + 1);
}
