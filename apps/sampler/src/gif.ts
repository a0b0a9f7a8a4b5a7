/** Pictures one after another as an animated GIF (GIF89a), for where APNG is not shown. Greys are kept: a GIF has 256 colours. */
import { GifWriter } from 'omggif';
import { PNG } from 'pngjs';
import type { Frame } from './apng.js';

const GREYS = Array.from({ length: 256 }, (_, grey) => grey * 0x01_01_01);
const ENDLESSLY = 0;
/** A pixel becomes at most one code of 12 bits, and each block of 255 bytes has one more in front. */
const MOST_BYTES_A_PIXEL = 2;
/** Headers and palette. */
const MOST_BYTES_A_FRAME = 2048;

/**
 * The frames as one animated GIF.
 * @param frames grey PNGs of one size, at least one; times are rounded to GIF's hundredths of a second
 */
export function animatedGif(frames: readonly Frame[]): Buffer {
  const pictures = frames.map(({ png }) => PNG.sync.read(png));
  const [{ width, height }] = pictures;
  const bytes = Buffer.alloc(frames.length * (width * height * MOST_BYTES_A_PIXEL + MOST_BYTES_A_FRAME));
  const writer = new GifWriter(bytes, width, height, { palette: GREYS, loop: ENDLESSLY });
  pictures.forEach(({ data }, i) => {
    // Red, green, blue and opacity of each pixel; the first three are the grey.
    const greys = Array.from({ length: width * height }, (_, pixel) => data[4 * pixel] ?? 0);
    const delay = Math.round((frames[i]?.milliseconds ?? 0) / 10);
    writer.addFrame(0, 0, width, height, greys, { delay });
  });
  return bytes.subarray(0, writer.end());
}
