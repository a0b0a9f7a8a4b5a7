/** Plots as SVG text: dark on white whatever the page's colours are, no scripts, no fonts to fetch. */

export const INK = '#1f2328';
export const GRID = '#d8dee4';
export const COLORS = ['#0969da', '#bc4c00', '#1a7f37', '#8250df'];
const GREY = '#6e7781';

const escape = (text) => text.replace(/[&<>]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[sign]);
const number = (value) => String(Number(value.toFixed(1)));

export function text(x, y, content, { anchor = 'start', size = 12, color = INK, weight = 'normal' } = {}) {
  return `<text x="${number(x)}" y="${number(y)}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}" fill="${color}">${escape(content)}</text>`;
}

export function line(x1, y1, x2, y2, { color = INK, width = 1, dash = '' } = {}) {
  const dashed = dash === '' ? '' : ` stroke-dasharray="${dash}"`;
  return `<line x1="${number(x1)}" y1="${number(y1)}" x2="${number(x2)}" y2="${number(y2)}" stroke="${color}" stroke-width="${width}"${dashed}/>`;
}

export function polyline(points, { color, width = 2, dash = '' }) {
  const dashed = dash === '' ? '' : ` stroke-dasharray="${dash}"`;
  const list = points.map(([x, y]) => `${number(x)},${number(y)}`).join(' ');
  return `<polyline fill="none" stroke="${color}" stroke-width="${width}"${dashed} points="${list}"/>`;
}

export function rect(x, y, width, height, color) {
  return `<rect x="${number(x)}" y="${number(y)}" width="${number(width)}" height="${number(height)}" fill="${color}"/>`;
}

export function dot(x, y, color, { radius = 4, hollow = false } = {}) {
  return `<circle cx="${number(x)}" cy="${number(y)}" r="${radius}" fill="${hollow ? 'white' : color}" stroke="${color}" stroke-width="2"/>`;
}

/** A scale from [low, high] to pixels [from, to]; logarithmic where asked. */
export function scale([low, high], [from, to], { log = false } = {}) {
  const f = log ? Math.log2 : (value) => value;
  return (value) => from + ((f(value) - f(low)) / (f(high) - f(low))) * (to - from);
}

/** What fits on a line of small print in a picture of 720 pixels. */
const LINE_CHARACTERS = 112;

/** Small print under a plot: what was measured, what was assumed. Returns it and its height in pixels. */
export function caption(sentences, x, y) {
  const lines = sentences.flatMap(wrapped);
  return {
    marks: lines.map((content, index) => text(x, y + 15 * index, content, { size: 11, color: GREY })),
    height: 15 * lines.length,
  };
}

function wrapped(sentence) {
  const lines = [''];
  for (const word of sentence.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length <= LINE_CHARACTERS) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** One line each: a sample of how it is drawn, and what it is. */
export function legend(entries, x, y) {
  return entries.flatMap(({ label, ...style }, index) => {
    const at = y + 18 * index;
    const sample = style.dot ? dot(x + 14, at - 4, style.color, style) : line(x, at - 4, x + 28, at - 4, style);
    return [sample, text(x + 36, at, label)];
  });
}

/** The whole picture. `title` is also what a screen reader says. */
export function picture({ width, height, title, marks }) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(title).replaceAll('"', '&quot;')}" font-family="system-ui, sans-serif">
<rect width="${width}" height="${height}" fill="white"/>
${[text(16, 24, title, { size: 14, weight: 'bold' }), ...marks].join('\n')}
</svg>
`;
}
