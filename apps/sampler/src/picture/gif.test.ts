import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GifReader } from 'omggif';
import { PNG } from 'pngjs';
import { animatedGif } from '#src/picture/gif.js';
import { gridGreys, gridPng } from '#src/picture/png.js';

const GRID = { rows: 2, columns: 3, height: 16, width: 16, scale: 2, numbered: false };

test('a GIF shows every pixel of every frame, in order, for its time, again and again', () => {
  const frames = [0, 1, 2].map((frame) => {
    // Every grey, in no order that compresses.
    const images = Float32Array.from({ length: 6 * 256 }, (_, i) => ((i * 197 + frame * 31) % 256) / 127.5 - 1);
    return { greys: gridGreys(images, GRID), png: gridPng(images, GRID), milliseconds: 100 * (frame + 1) };
  });
  const reader = new GifReader(animatedGif(frames));
  assert.deepEqual([reader.numFrames(), reader.loopCount()], [3, 0]);
  frames.forEach(({ png, milliseconds }, i) => {
    const { width, height, data } = PNG.sync.read(png);
    assert.deepEqual([reader.width, reader.height, reader.frameInfo(i).delay], [width, height, milliseconds / 10]);
    const pixels = new Uint8Array(4 * width * height);
    reader.decodeAndBlitFrameRGBA(i, pixels);
    assert.deepEqual(Buffer.from(pixels), data);
  });
});
