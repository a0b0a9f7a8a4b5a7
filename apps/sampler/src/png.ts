/** Grids of images as PNG. */
import { PNG } from 'pngjs';
import { GLYPH_HEIGHT, isInk, numberWidth } from './digits.js';

/** White lines between the images of a grid, pixels. */
const GAP = 2;
const WHITE = 255;
const BLACK = 0;
/** A row's number is so many times lower than its images. */
const LABEL_SHARE = 2;

export interface Grid {
  readonly rows: number;
  readonly columns: number;
  /** Of an image, before it is enlarged. */
  readonly height: number;
  readonly width: number;
  /** Enlargement by whole pixels. */
  readonly scale: number;
  /** Whether each row has its number, from 0, at its left. */
  readonly numbered: boolean;
}

/** Width and height in pixels of a grid's picture. */
export function gridPixels(grid: Grid): { readonly width: number; readonly height: number } {
  const { rows, columns, height, width, scale } = grid;
  return {
    width: margin(grid) + columns * (width * scale + GAP) + GAP,
    height: rows * (height * scale + GAP) + GAP,
  };
}

/** Enlargement of the rows' numbers. */
function labelScale({ height, scale }: Grid): number {
  return Math.max(1, Math.floor((height * scale) / (LABEL_SHARE * GLYPH_HEIGHT)));
}

/** Columns to the left of the images. */
function margin(grid: Grid): number {
  return grid.numbered ? GAP * 2 + numberWidth(grid.rows - 1) * labelScale(grid) : 0;
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
    if (grid.numbered) drawNumber(pixels, size.width, grid, row);
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

/** The row's number, in the middle of its height. */
function drawNumber(pixels: Buffer, stride: number, grid: Grid, row: number): void {
  const { height, scale } = grid;
  const by = labelScale(grid);
  const top = GAP + row * (height * scale + GAP) + Math.floor((height * scale - GLYPH_HEIGHT * by) / 2);
  for (let y = 0; y < GLYPH_HEIGHT * by; y++) {
    for (let x = 0; x < numberWidth(row) * by; x++) {
      if (isInk(row, Math.floor(y / by), Math.floor(x / by))) pixels[(top + y) * stride + GAP * 2 + x] = BLACK;
    }
  }
}
