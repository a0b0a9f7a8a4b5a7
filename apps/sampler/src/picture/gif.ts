/** Pictures one after another as an animated GIF (GIF89a), for where APNG is not shown. Greys are kept: a GIF has 256 colours. */
import { GifWriter } from 'omggif';
import type { Greys } from './png.js';

const GREYS = Array.from({ length: 256 }, (_, grey) => grey * 0x01_01_01);
const ENDLESSLY = 0;
/** A pixel becomes at most one code of 12 bits, and each block of 255 bytes has one more in front. */
const MOST_BYTES_A_PIXEL = 2;
/** Headers and palette. */
const MOST_BYTES_A_FRAME = 2048;

/** A picture and how long it is shown. */
export interface GreyFrame {
  readonly greys: Greys;
  readonly milliseconds: number;
}

/**
 * The frames as one animated GIF.
 * @param frames of one size, at least one; times are rounded to GIF's hundredths of a second
 */
export function animatedGif(frames: readonly GreyFrame[]): Buffer {
  const { width, height } = frames[0].greys;
  const bytes = Buffer.alloc(frames.length * (width * height * MOST_BYTES_A_PIXEL + MOST_BYTES_A_FRAME));
  const writer = new GifWriter(bytes, width, height, { palette: GREYS, loop: ENDLESSLY });
  for (const { greys, milliseconds } of frames)
    writer.addFrame(0, 0, width, height, [...greys.pixels], { delay: Math.round(milliseconds / 10) });
  return bytes.subarray(0, writer.end());
}
