/** Grids of images as PNG. */
import { PNG } from 'pngjs';
import { GLYPH_HEIGHT, isInk, textWidth } from './glyphs.js';

/** White lines between the images of a grid, pixels. */
const GAP = 2;
const WHITE = 255;
const BLACK = 0;
/** A row's label is so many times lower than its images. */
const LABEL_SHARE = 2;
/** Labels take the width of so many images at most, where they can be as small. */
const LABEL_IMAGES = 2;

export interface Grid {
  readonly rows: number;
  readonly columns: number;
  /** Of an image, before it is enlarged. */
  readonly height: number;
  readonly width: number;
  /** Enlargement by whole pixels. */
  readonly scale: number;
  /** Whether each row has a label at its left. */
  readonly numbered: boolean;
  /** The rows' labels; where one is left out, the row's number, from 0. */
  readonly labels?: readonly string[];
}

/** Width and height in pixels of a grid's picture. */
export function gridPixels(grid: Grid): { readonly width: number; readonly height: number } {
  const { rows, columns, height, width, scale } = grid;
  return {
    width: margin(grid) + columns * (width * scale + GAP) + GAP,
    height: rows * (height * scale + GAP) + GAP,
  };
}

function labelOf(grid: Grid, row: number): string {
  return grid.labels?.[row] ?? String(row);
}

/** Columns of the widest label, before it is enlarged. */
function labelWidth(grid: Grid): number {
  return Array.from({ length: grid.rows }, (_, row) => textWidth(labelOf(grid, row))).reduce((a, b) => Math.max(a, b));
}

/** Enlargement of the rows' labels. */
function labelScale(grid: Grid): number {
  const { height, width, scale } = grid;
  const byHeight = Math.floor((height * scale) / (LABEL_SHARE * GLYPH_HEIGHT));
  const byWidth = Math.floor((LABEL_IMAGES * width * scale) / labelWidth(grid));
  return Math.max(1, Math.min(byHeight, byWidth));
}

/** Columns to the left of the images. */
function margin(grid: Grid): number {
  return grid.numbered ? GAP * 2 + labelWidth(grid) * labelScale(grid) : 0;
}

/** Grey pixels, 0 black to 255 white, row after row. */
export interface Greys {
  readonly pixels: Buffer;
  readonly width: number;
  readonly height: number;
}

/**
 * A grid of grey images as one picture.
 * @param images images one after another, height * width numbers each; -1 is black, 1 white; outside is cut off
 * @throws RangeError if there are fewer images than cells
 */
export function gridGreys(images: Float32Array, grid: Grid): Greys {
  const { rows, columns, height, width } = grid;
  if (images.length < rows * columns * height * width)
    throw new RangeError(`a grid of ${rows}x${columns} needs ${rows * columns} images`);
  const size = gridPixels(grid);
  const pixels = Buffer.alloc(size.width * size.height, WHITE);
  for (let row = 0; row < rows; row++) {
    if (grid.numbered) drawLabel(pixels, size.width, grid, row);
    for (let column = 0; column < columns; column++) drawImage(pixels, size.width, grid, images, row, column);
  }
  return { pixels, ...size };
}

/** The grid as PNG bytes. @throws as {@link gridGreys} */
export function gridPng(images: Float32Array, grid: Grid): Buffer {
  const { pixels, width, height } = gridGreys(images, grid);
  return greyPng(pixels, width, height);
}

/** Grey pixels, 0 black to 255 white, row after row, as PNG bytes. */
export function greyPng(pixels: Buffer, width: number, height: number): Buffer {
  const options = { colorType: 0, inputColorType: 0, inputHasAlpha: false, bitDepth: 8 } as const;
  const png = new PNG({ width, height, ...options });
  png.data = pixels;
  return PNG.sync.write(png, options);
}

function drawImage(
  pixels: Buffer,
  stride: number,
  grid: Grid,
  images: Float32Array,
  row: number,
  column: number,
): void {
  const { columns, height, width, scale } = grid;
  const image = (row * columns + column) * height * width;
  const left = margin(grid) + GAP + column * (width * scale + GAP);
  for (let y = 0; y < height * scale; y++) {
    const line = (GAP + row * (height * scale + GAP) + y) * stride + left;
    for (let x = 0; x < width * scale; x++) {
      const value = images[image + Math.floor(y / scale) * width + Math.floor(x / scale)] ?? 0;
      pixels[line + x] = Math.max(0, Math.min(255, Math.round((value + 1) * 127.5)));
    }
  }
}

/** The row's label, in the middle of its height. */
function drawLabel(pixels: Buffer, stride: number, grid: Grid, row: number): void {
  const { height, scale } = grid;
  const by = labelScale(grid);
  const label = labelOf(grid, row);
  const top = GAP + row * (height * scale + GAP) + Math.floor((height * scale - GLYPH_HEIGHT * by) / 2);
  for (let y = 0; y < GLYPH_HEIGHT * by; y++) {
    for (let x = 0; x < textWidth(label) * by; x++) {
      if (isInk(label, Math.floor(y / by), Math.floor(x / by))) pixels[(top + y) * stride + GAP * 2 + x] = BLACK;
    }
  }
}
