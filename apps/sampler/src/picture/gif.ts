/**
 * Pictures one after another as an animated GIF (GIF89a), for where APNG is not shown. Greys are kept: a GIF has 256 colours. Of
 * pictures in colour each has the 256 that fit it best.
 */
import { GREY } from '@lockstep/diffusion';
import { GifWriter } from 'omggif';
import { indexed } from './palette.js';
import type { Raster } from './raster.js';

const GREYS = Array.from({ length: 256 }, (_, grey) => grey * 0x01_01_01);
const ENDLESSLY = 0;
/** A pixel becomes at most one code of 12 bits, and each block of 255 bytes has one more in front. */
const MOST_BYTES_A_PIXEL = 2;
/** Headers and palettes. */
const MOST_BYTES_A_FRAME = 2048;

/** A picture and how long it is shown. */
export interface RasterFrame {
  readonly raster: Raster;
  readonly milliseconds: number;
}

/**
 * The frames as one animated GIF.
 * @param frames of one size and kind, at least one; times are rounded to GIF's hundredths of a second
 */
export function animatedGif(frames: readonly RasterFrame[]): Buffer {
  const { width, height, channels } = frames[0].raster;
  const bytes = Buffer.alloc(frames.length * (width * height * MOST_BYTES_A_PIXEL + MOST_BYTES_A_FRAME));
  const shared = channels === GREY ? { palette: GREYS } : {};
  const writer = new GifWriter(bytes, width, height, { ...shared, loop: ENDLESSLY });
  for (const { raster, milliseconds } of frames) {
    const { indices, ...own } = channels === GREY ? { indices: raster.pixels } : indexed(raster);
    writer.addFrame(0, 0, width, height, [...indices], { ...own, delay: Math.round(milliseconds / 10) });
  }
  return bytes.subarray(0, writer.end());
}
