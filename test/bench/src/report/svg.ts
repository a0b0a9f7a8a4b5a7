/** Plots as SVG text: dark on white whatever the page's colours are, no scripts, no fonts to fetch. */

export const INK = '#1f2328';
export const GRID = '#d8dee4';
export const COLORS = ['#0969da', '#bc4c00', '#1a7f37', '#8250df'];
const GREY = '#6e7781';

/** Where a mark lies, in pixels. */
export type Point = readonly [number, number];

/** How a line is drawn. */
export interface Stroke {
  readonly color: string;
  readonly width?: number;
  readonly dash?: string;
}

const escape = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const number = (value: number): string => String(Number(value.toFixed(1)));
const dashed = (dash: string): string => (dash === '' ? '' : ` stroke-dasharray="${dash}"`);

interface TextStyle {
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly color?: string;
  readonly weight?: 'normal' | 'bold';
}

export function text(
  x: number,
  y: number,
  content: string,
  { anchor = 'start', size = 12, color = INK, weight = 'normal' }: TextStyle = {},
): string {
  return `<text x="${number(x)}" y="${number(y)}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}" fill="${color}">${escape(content)}</text>`;
}

export function line(
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  { color = INK, width = 1, dash = '' }: Partial<Stroke> = {},
): string {
  return `<line x1="${number(x1)}" y1="${number(y1)}" x2="${number(x2)}" y2="${number(y2)}" stroke="${color}" stroke-width="${width}"${dashed(dash)}/>`;
}

export function polyline(points: readonly Point[], { color, width = 2, dash = '' }: Stroke): string {
  const list = points.map(([x, y]) => `${number(x)},${number(y)}`).join(' ');
  return `<polyline fill="none" stroke="${color}" stroke-width="${width}"${dashed(dash)} points="${list}"/>`;
}

export function rect(x: number, y: number, width: number, height: number, color: string): string {
  return `<rect x="${number(x)}" y="${number(y)}" width="${number(width)}" height="${number(height)}" fill="${color}"/>`;
}

interface DotStyle {
  readonly radius?: number;
  readonly hollow?: boolean;
}

export function dot(x: number, y: number, color: string, { radius = 4, hollow = false }: DotStyle = {}): string {
  return `<circle cx="${number(x)}" cy="${number(y)}" r="${radius}" fill="${hollow ? 'white' : color}" stroke="${color}" stroke-width="2"/>`;
}

/** From a value to its pixel. */
export type Scale = (value: number) => number;

/** A scale from [low, high] to pixels [from, to]; logarithmic where asked. */
export function scale([low, high]: Point, [from, to]: Point, { log = false }: { readonly log?: boolean } = {}): Scale {
  const f = log ? Math.log2 : (value: number) => value;
  return (value) => from + ((f(value) - f(low)) / (f(high) - f(low))) * (to - from);
}

/** What fits on a line of small print in a picture of 720 pixels. */
const LINE_CHARACTERS = 112;

/** Marks, and their height in pixels. */
export interface Block {
  readonly marks: readonly string[];
  readonly height: number;
}

/** Small print under a plot: what was measured, what was assumed. */
export function caption(sentences: readonly string[], x: number, y: number): Block {
  const lines = sentences.flatMap(wrapped);
  return {
    marks: lines.map((content, index) => text(x, y + 15 * index, content, { size: 11, color: GREY })),
    height: 15 * lines.length,
  };
}

function wrapped(sentence: string): string[] {
  const lines = [''];
  for (const word of sentence.split(' ')) {
    const last = lines.length - 1;
    const longer = `${lines[last]} ${word}`.trim();
    if (longer.length <= LINE_CHARACTERS) lines[last] = longer;
    else lines.push(word);
  }
  return lines;
}

/** A line of the legend: what it is, and how it is drawn. */
export interface LegendEntry extends Stroke, DotStyle {
  readonly label: string;
  /** A dot, not a line. */
  readonly dot?: boolean;
}

/** One line each: a sample of how it is drawn, and what it is. */
export function legend(entries: readonly LegendEntry[], x: number, y: number): string[] {
  return entries.flatMap(({ label, ...style }, index) => {
    const at = y + 18 * index;
    const sample =
      style.dot === true ? dot(x + 14, at - 4, style.color, style) : line(x, at - 4, x + 28, at - 4, style);
    return [sample, text(x + 36, at, label)];
  });
}

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly marks: readonly string[];
}

/** The whole picture. `title` is also what a screen reader says. */
export function picture({ width, height, title, marks }: Picture): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title).replaceAll('"', '&quot;')}" font-family="system-ui, sans-serif">
<rect width="${width}" height="${height}" fill="white"/>
${[text(16, 24, title, { size: 14, weight: 'bold' }), ...marks].join('\n')}
</svg>
`;
}
