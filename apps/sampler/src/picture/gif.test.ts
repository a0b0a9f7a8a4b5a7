import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GifReader } from 'omggif';
import { PNG } from 'pngjs';
import { animatedGif } from '#src/picture/gif.js';
import { gridPng, gridRaster } from '#src/picture/png.js';

const GRID = { rows: 2, columns: 3, shape: { rows: 16, columns: 16, channels: 1 }, scale: 2, numbered: false };
const IN_COLOUR = { ...GRID, shape: { ...GRID.shape, channels: 3 } };

test('a GIF shows every pixel of every frame, in order, for its time, again and again', () => {
  const frames = [0, 1, 2].map((frame) => {
    // Every grey, in no order that compresses.
    const images = Float32Array.from({ length: 6 * 256 }, (_, i) => ((i * 197 + frame * 31) % 256) / 127.5 - 1);
    return { raster: gridRaster(images, GRID), png: gridPng(images, GRID), milliseconds: 100 * (frame + 1) };
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

test('a picture of up to 256 colours keeps them, and each frame has its own', () => {
  const frames = [0, 1].map((frame) => {
    // 200 colours, and white between the images.
    const images = Float32Array.from({ length: 6 * 768 }, (_, v) => {
      const colour = Math.floor(v / 3) % 200;
      return [colour, (3 * colour + 50 * frame) % 256, 255 - colour][v % 3] / 127.5 - 1;
    });
    return { raster: gridRaster(images, IN_COLOUR), png: gridPng(images, IN_COLOUR), milliseconds: 20 };
  });
  const reader = new GifReader(animatedGif(frames));
  frames.forEach(({ png }, i) => {
    const { width, height, data } = PNG.sync.read(png);
    const pixels = new Uint8Array(4 * width * height);
    reader.decodeAndBlitFrameRGBA(i, pixels);
    assert.deepEqual(Buffer.from(pixels), data);
  });
});

test('of more colours than a GIF has, each pixel gets one that is near its own', () => {
  // A smooth change of all three: 1,536 colours.
  const images = Float32Array.from({ length: 6 * 768 }, (_, v) => {
    const pixel = Math.floor(v / 3);
    return [pixel % 16, Math.floor(pixel / 16) % 16, Math.floor(pixel / 256)][v % 3] / [7.5, 7.5, 2.5][v % 3] - 1;
  });
  const raster = gridRaster(images, IN_COLOUR);
  const reader = new GifReader(animatedGif([{ raster, milliseconds: 20 }]));
  const pixels = new Uint8Array(4 * raster.width * raster.height);
  reader.decodeAndBlitFrameRGBA(0, pixels);
  let [sum, most] = [0, 0];
  for (let i = 0; i < raster.width * raster.height; i++) {
    for (let c = 0; c < 3; c++) {
      const off = Math.abs(pixels[4 * i + c] - raster.pixels[3 * i + c]);
      [sum, most] = [sum + off, Math.max(most, off)];
    }
  }
  // A step of the coarse channel is 51, which is not crossed.
  assert.ok(sum / raster.pixels.length < 12 && most < 51, `${sum / raster.pixels.length}, ${most}`);
});
