/** Pictures as pixels, grey or in colour, and as PNG. */
import { COLOUR, GREY } from '@lockstep/diffusion';
import { PNG } from 'pngjs';

/** 0 black to 255 white, row after row; of a pixel in colour red, green and blue. */
export interface Raster {
  readonly pixels: Buffer;
  readonly width: number;
  readonly height: number;
  /** Bytes a pixel: GREY or COLOUR. */
  readonly channels: number;
}

/** What PNG calls them. */
const COLOUR_TYPES = new Map<number, 0 | 2>([
  [GREY, 0],
  [COLOUR, 2],
]);

/** @throws RangeError if the pixels are neither grey nor in colour */
export function rasterPng({ pixels, width, height, channels }: Raster): Buffer {
  const colorType = COLOUR_TYPES.get(channels);
  if (colorType === undefined) throw new RangeError(`a PNG of ${channels} channels`);
  const options = { colorType, inputColorType: colorType, inputHasAlpha: false, bitDepth: 8 } as const;
  const png = new PNG({ width, height, ...options });
  png.data = pixels;
  return PNG.sync.write(png, options);
}
