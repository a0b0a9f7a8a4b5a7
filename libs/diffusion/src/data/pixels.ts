/** A pixel's bytes as networks and classifiers see them: 0..255 as -1..1, in float32; of a pixel in colour each of its three. */

export function pixelToFloat(byte: number): number {
  return Math.fround(byte / 127.5 - 1);
}

/** [256] {@link pixelToFloat} of each byte. */
export const PIXEL_VALUES: Float32Array = Float32Array.from({ length: 256 }, (_, byte) => pixelToFloat(byte));
