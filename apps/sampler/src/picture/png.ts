/** Grids of images as PNG. */
import { valuesOf, type ImageShape } from '@lockstep/diffusion';
import { GLYPH_HEIGHT, isInk, textWidth } from './glyphs.js';
import { rasterPng, type Raster } from './raster.js';

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
  readonly shape: ImageShape;
  /** Enlargement by whole pixels. */
  readonly scale: number;
  /** Whether each row has a label at its left. */
  readonly numbered: boolean;
  /** The rows' labels; where one is left out, the row's number, from 0. */
  readonly labels?: readonly string[];
}

/** Width and height in pixels of a grid's picture. */
export function gridPixels(grid: Grid): { readonly width: number; readonly height: number } {
  const { rows, columns, shape, scale } = grid;
  return {
    width: margin(grid) + columns * (shape.columns * scale + GAP) + GAP,
    height: rows * (shape.rows * scale + GAP) + GAP,
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
  const { shape, scale } = grid;
  const byHeight = Math.floor((shape.rows * scale) / (LABEL_SHARE * GLYPH_HEIGHT));
  const byWidth = Math.floor((LABEL_IMAGES * shape.columns * scale) / labelWidth(grid));
  return Math.max(1, Math.min(byHeight, byWidth));
}

/** Columns to the left of the images. */
function margin(grid: Grid): number {
  return grid.numbered ? GAP * 2 + labelWidth(grid) * labelScale(grid) : 0;
}

/**
 * A grid of images as one picture, grey or in colour as they are.
 * @param images images one after another, valuesOf(shape) numbers each; -1 is black, 1 white; outside is cut off
 * @throws RangeError if there are fewer images than cells
 */
export function gridRaster(images: Float32Array, grid: Grid): Raster {
  const { rows, columns, shape } = grid;
  if (images.length < rows * columns * valuesOf(shape))
    throw new RangeError(`a grid of ${rows}x${columns} needs ${rows * columns} images`);
  const { channels } = shape;
  const size = gridPixels(grid);
  const raster = { pixels: Buffer.alloc(size.width * size.height * channels, WHITE), ...size, channels };
  for (let row = 0; row < rows; row++) {
    if (grid.numbered) drawLabel(raster, grid, row);
    for (let column = 0; column < columns; column++) drawImage(raster, grid, images, row, column);
  }
  return raster;
}

/** The grid as PNG bytes. @throws as {@link gridRaster} */
export function gridPng(images: Float32Array, grid: Grid): Buffer {
  return rasterPng(gridRaster(images, grid));
}

function drawImage({ pixels, width }: Raster, grid: Grid, images: Float32Array, row: number, column: number): void {
  const { columns, shape, scale } = grid;
  const { channels } = shape;
  const image = (row * columns + column) * valuesOf(shape);
  const left = margin(grid) + GAP + column * (shape.columns * scale + GAP);
  for (let y = 0; y < shape.rows * scale; y++) {
    const line = (GAP + row * (shape.rows * scale + GAP) + y) * width + left;
    for (let x = 0; x < shape.columns * scale; x++) {
      const pixel = Math.floor(y / scale) * shape.columns + Math.floor(x / scale);
      for (let c = 0; c < channels; c++) {
        const value = images[image + pixel * channels + c] ?? 0;
        pixels[(line + x) * channels + c] = Math.max(0, Math.min(255, Math.round((value + 1) * 127.5)));
      }
    }
  }
}

/** The row's label, in the middle of its height. */
function drawLabel({ pixels, width, channels }: Raster, grid: Grid, row: number): void {
  const height = grid.shape.rows * grid.scale;
  const by = labelScale(grid);
  const label = labelOf(grid, row);
  const top = GAP + row * (height + GAP) + Math.floor((height - GLYPH_HEIGHT * by) / 2);
  for (let y = 0; y < GLYPH_HEIGHT * by; y++) {
    for (let x = 0; x < textWidth(label) * by; x++) {
      const at = ((top + y) * width + GAP * 2 + x) * channels;
      if (isInk(label, Math.floor(y / by), Math.floor(x / by))) pixels.fill(BLACK, at, at + channels);
    }
  }
}
