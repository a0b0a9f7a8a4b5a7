/** Images on disk. */
import { PNG } from 'pngjs';

/** White lines between the images of a grid, pixels. */
const GAP = 2;
const WHITE = 255;

/** Width and height in pixels of what gridPng makes. */
export function gridPixels(
  rows: number,
  columns: number,
  height: number,
  width: number,
  scale: number,
): { readonly width: number; readonly height: number } {
  return { width: columns * (width * scale + GAP) + GAP, height: rows * (height * scale + GAP) + GAP };
}

/**
 * A grid of `rows` * `columns` grey images as PNG bytes.
 * @param images images one after another, height * width numbers each; -1 is black, 1 white; outside is cut off
 * @param scale enlargement by whole pixels
 * @throws RangeError if there are fewer images than cells
 */
export function gridPng(
  images: Float32Array,
  rows: number,
  columns: number,
  height: number,
  width: number,
  scale: number,
): Buffer {
  if (images.length < rows * columns * height * width)
    throw new RangeError(`a grid of ${rows}x${columns} needs ${rows * columns} images`);
  const { width: gridWidth, height: gridHeight } = gridPixels(rows, columns, height, width, scale);
  const pixels = Buffer.alloc(gridWidth * gridHeight, WHITE);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const image = (row * columns + column) * height * width;
      for (let y = 0; y < height * scale; y++) {
        const line = (GAP + row * (height * scale + GAP) + y) * gridWidth + GAP + column * (width * scale + GAP);
        for (let x = 0; x < width * scale; x++) {
          const value = images[image + Math.floor(y / scale) * width + Math.floor(x / scale)] ?? 0;
          pixels[line + x] = Math.max(0, Math.min(255, Math.round((value + 1) * 127.5)));
        }
      }
    }
  }
  return greyPng(pixels, gridWidth, gridHeight);
}

/** Grey pixels, 0 black to 255 white, row after row, as PNG bytes. */
export function greyPng(pixels: Buffer, width: number, height: number): Buffer {
  const options = { colorType: 0, inputColorType: 0, inputHasAlpha: false, bitDepth: 8 } as const;
  const png = new PNG({ width, height, ...options });
  png.data = pixels;
  return PNG.sync.write(png, options);
}
