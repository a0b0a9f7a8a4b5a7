/**
 * A picture in at most 256 colours, as GIF wants it: by median cut (Heckbert, "Color image quantization for frame buffer display",
 * SIGGRAPH 1982). A picture that has no more colours keeps them.
 *
 * cell = the pixels of one colour, or where there are too many colours of those that are equal in their highest CELL_BITS bits
 * box  = cells that will have one colour: the mean of their pixels
 */
import { COLOUR } from '@lockstep/diffusion';
import type { Raster } from './raster.js';

const MOST_COLOURS = 256;
/** At most 32,768 cells, whatever the picture: one of noise has as many colours as pixels. */
const CELL_BITS = 5;
/** Red, green and blue, COLOUR of them. */
const CHANNELS = [0, 1, 2] as const;

export interface Indexed {
  /** 0xRRGGBB; as many as a GIF's palette must have: a power of two. */
  readonly palette: number[];
  /** Of each pixel. */
  readonly indices: Uint8Array;
}

interface Cell {
  readonly key: number;
  /** Of its pixels, by channel. */
  readonly sums: [number, number, number];
  pixels: number;
}

interface Box {
  readonly cells: Cell[];
  readonly pixels: number;
  /** In which its cells differ most, and by how much. */
  readonly channel: 0 | 1 | 2;
  readonly range: number;
}

/** @param raster in colour */
export function indexed({ pixels, width, height }: Raster): Indexed {
  const exact = cellsOf(pixels, 8);
  const [cells, bits] = exact.size <= MOST_COLOURS ? [exact, 8] : [cellsOf(pixels, CELL_BITS), CELL_BITS];
  const boxes = cut([...cells.values()]);
  const indexOf = new Map(boxes.flatMap((box, index) => box.cells.map(({ key }) => [key, index] as const)));
  const indices = new Uint8Array(width * height);
  indices.forEach((_, i) => (indices[i] = indexOf.get(keyAt(pixels, i, bits)) ?? 0));
  const colours = boxes.map(meanOf);
  const size = 2 ** Math.max(1, Math.ceil(Math.log2(colours.length)));
  return { palette: [...colours, ...new Array<number>(size - colours.length).fill(0)], indices };
}

/** Of pixel i, by its highest bits. */
function keyAt(pixels: Uint8Array, i: number, bits: number): number {
  const [low, at] = [8 - bits, COLOUR * i];
  return ((pixels[at] >> low) << (2 * bits)) | ((pixels[at + 1] >> low) << bits) | (pixels[at + 2] >> low);
}

function cellsOf(pixels: Uint8Array, bits: number): Map<number, Cell> {
  const cells = new Map<number, Cell>();
  for (let i = 0; COLOUR * i < pixels.length; i++) {
    const key = keyAt(pixels, i, bits);
    const cell = cells.get(key) ?? { key, sums: [0, 0, 0], pixels: 0 };
    for (const channel of CHANNELS) cell.sums[channel] += pixels[COLOUR * i + channel];
    cell.pixels++;
    cells.set(key, cell);
  }
  return cells;
}

/** Cuts the box whose colour would be furthest off for most pixels, until there are enough boxes or nothing is left to cut. */
function cut(cells: Cell[]): Box[] {
  const boxes = [boxOf(cells)];
  while (boxes.length < MOST_COLOURS) {
    const worst = boxes.reduce((a, b) => (b.range * b.pixels > a.range * a.pixels ? b : a));
    if (worst.range === 0) break;
    boxes.splice(boxes.indexOf(worst), 1, ...halves(worst));
  }
  return boxes;
}

function boxOf(cells: Cell[]): Box {
  const rangeOf = (channel: 0 | 1 | 2): number => {
    let [least, most] = [Infinity, -Infinity];
    for (const cell of cells) {
      const value = cell.sums[channel] / cell.pixels;
      [least, most] = [Math.min(least, value), Math.max(most, value)];
    }
    return most - least;
  };
  const ranges = CHANNELS.map(rangeOf);
  const channel = CHANNELS.reduce((a, b) => (ranges[b] > ranges[a] ? b : a));
  return { cells, channel, range: ranges[channel], pixels: cells.reduce((sum, cell) => sum + cell.pixels, 0) };
}

/** At the median of its pixels; each half has a cell or more. */
function halves({ cells, channel, pixels }: Box): [Box, Box] {
  const value = (cell: Cell): number => cell.sums[channel] / cell.pixels;
  const sorted = cells.toSorted((a, b) => value(a) - value(b) || a.key - b.key);
  let [first, before] = [1, sorted[0].pixels];
  while (first < sorted.length - 1 && 2 * (before + sorted[first].pixels) <= pixels) before += sorted[first++].pixels;
  return [boxOf(sorted.slice(0, first)), boxOf(sorted.slice(first))];
}

function meanOf({ cells, pixels }: Box): number {
  const mean = (channel: 0 | 1 | 2): number =>
    Math.round(cells.reduce((sum, cell) => sum + cell.sums[channel], 0) / pixels);
  return (mean(0) << 16) | (mean(1) << 8) | mean(2);
}
