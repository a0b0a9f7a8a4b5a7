import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { PNG } from 'pngjs';
import { animatedPng } from '#src/picture/apng.js';
import { gridPixels, gridPng, gridRaster, type Grid } from '#src/picture/png.js';

const GRID: Grid = { rows: 2, columns: 1, shape: { rows: 8, columns: 8, channels: 1 }, scale: 2, numbered: false };

/** Image i is all `values[i]`. */
const flat = (...values: number[]): Float32Array =>
  Float32Array.from({ length: 64 * values.length }, (_, p) => values[Math.floor(p / 64)] ?? 0);

function grey(png: Buffer): { width: number; height: number; at: (x: number, y: number) => number } {
  const { width, height, data } = PNG.sync.read(png);
  return { width, height, at: (x, y) => data[4 * (y * width + x)] ?? -1 };
}

test('a grid has its images enlarged, black to white, with white lines between them', () => {
  const picture = grey(gridPng(flat(-1, 0), GRID));
  assert.deepEqual({ width: picture.width, height: picture.height }, gridPixels(GRID));
  assert.deepEqual([picture.width, picture.height], [20, 38]);
  assert.deepEqual(
    [picture.at(2, 2), picture.at(17, 17), picture.at(2, 18), picture.at(2, 20), picture.at(0, 0)],
    [0, 0, 255, 128, 255],
  );
});

test('numbered rows have their number at the left, black on white, and the images are the same', () => {
  const plain = grey(gridPng(flat(-1, 0), GRID));
  const numbered = grey(gridPng(flat(-1, 0), { ...GRID, numbered: true }));
  const left = numbered.width - plain.width;
  assert.ok(left > 0);
  for (let y = 0; y < plain.height; y++)
    for (let x = 0; x < plain.width; x++) assert.equal(numbered.at(left + x, y), plain.at(x, y));
  const ink = (top: number): number =>
    Array.from({ length: 16 * left }, (_, i) => numbered.at(i % left, top + Math.floor(i / left))).filter(
      (value) => value === 0,
    ).length;
  // The glyphs of 0 and 1 have 12 and 8 pixels of ink, and here each is one pixel of the picture.
  assert.deepEqual([ink(2), ink(20)], [12, 8]);
});

test('images in colour have their colours, enlarged, and labels stay black on white', () => {
  const grid = { ...GRID, shape: { rows: 8, columns: 8, channels: 3 }, numbered: true };
  const colours = [
    [-1, 0, 1],
    [1, -1, 0.2],
  ];
  const images = Float32Array.from({ length: 2 * 192 }, (_, v) => colours[Math.floor(v / 192)][v % 3]);
  const { width, height, data } = PNG.sync.read(gridPng(images, grid));
  assert.deepEqual({ width, height }, gridPixels(grid));
  const left = width - 20;
  const at = (x: number, y: number): number[] => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3)];
  for (const [x, y] of [
    [2, 2],
    [17, 17],
  ])
    assert.deepEqual(at(left + x, y), [0, 128, 255]);
  assert.deepEqual([at(left + 2, 20), at(left + 17, 35)], [at(left + 3, 21), [255, 0, 153]]);
  assert.deepEqual(at(left + 2, 18), [255, 255, 255]);
  const label = Array.from({ length: height * left }, (_, i) => at(i % left, Math.floor(i / left)).join());
  assert.deepEqual(new Set(label), new Set(['0,0,0', '255,255,255']));
});

test('too few images for the grid are refused', () => {
  assert.throws(() => gridPng(flat(0), GRID), RangeError);
});

/** Type and data of each chunk. */
function chunks(png: Buffer): { type: string; data: Buffer }[] {
  const found: { type: string; data: Buffer }[] = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at))
    found.push({
      type: png.toString('latin1', at + 4, at + 8),
      data: png.subarray(at + 8, at + 8 + png.readUInt32BE(at)),
    });
  return found;
}

test('an animation holds every frame, in order and for its time, and is the last picture for who knows no animation', () => {
  const frames = [flat(-1, -1), flat(0, 1), flat(1, 0)].map((images, i) => ({
    png: gridPng(images, GRID),
    milliseconds: 100 * (i + 1),
  }));
  const animated = animatedPng(frames);
  // pngjs checks every CRC, and skips the chunks that it does not know.
  assert.deepEqual(PNG.sync.read(animated).data, PNG.sync.read(frames[2]?.png ?? assert.fail()).data);
  const found = chunks(animated);
  const types = ['IHDR', 'acTL', 'IDAT', ...frames.flatMap(() => ['fcTL', 'fdAT']), 'IEND'];
  assert.deepEqual(
    found.map(({ type }) => type),
    types,
  );
  assert.equal(found[1]?.data.readUInt32BE(0), 3);
  const ofAnimation = found.slice(3, -1);
  assert.deepEqual(
    ofAnimation.map(({ data }) => data.readUInt32BE(0)),
    [0, 1, 2, 3, 4, 5],
  );
  frames.forEach(({ png, milliseconds }, i) => {
    const [control, picture] = [ofAnimation[2 * i], ofAnimation[2 * i + 1]];
    assert.ok(control !== undefined && picture !== undefined);
    assert.deepEqual([control.data.readUInt32BE(4), control.data.readUInt32BE(8)], [20, 38]);
    assert.equal(control.data.readUInt16BE(20) / control.data.readUInt16BE(22), milliseconds / 1000);
    const data = chunks(png).find(({ type }) => type === 'IDAT')?.data ?? assert.fail();
    assert.deepEqual(inflateSync(picture.data.subarray(4)), inflateSync(data));
  });
});

test("rows' labels are drawn where they are given, as small as two images at most, and the images are the same", () => {
  const [wide, named] = [{ ...GRID, shape: { rows: 28, columns: 28, channels: 1 }, numbered: true }, ['a', 'Trousers']];
  const images = new Float32Array(2 * 28 * 28).fill(-1);
  const labelled = gridRaster(images, { ...wide, labels: named });
  const plain = gridRaster(images, { ...wide, numbered: false });
  const left = labelled.width - plain.width;
  assert.equal(left, 4 + (8 * 4 - 1) * 3);
  const inkOf = (row: number): number =>
    labelled.pixels.filter(
      (grey, i) => grey === 0 && i % labelled.width < left && Math.floor(i / labelled.width / 58) === row,
    ).length;
  // An A has ten pixels of ink, each drawn as a square of three by three.
  assert.equal(inkOf(0), 10 * 9);
  assert.equal(inkOf(1), (7 + 10 + 8 + 11 + 7 + 10 + 10 + 7) * 9);
});
