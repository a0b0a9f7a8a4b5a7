/**
 * A data set of our own in colour: circles, squares and triangles, each of one colour on a darker ground, of any size and in any place.
 *
 *   node test/integration/dist/coloured-shapes.js FOLDER SIDE IMAGES
 *
 * writes IMAGES of each class for training and a fifth of that for tests. FOLDER/png has those for training, a folder a class; FOLDER/idx
 * has both halves as IDX files, so that the training half of both has one digest, and a run on the PNGs can be evaluated.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { idxHeader, IDX_NAMES } from '@lockstep/diffusion';
import { rasterPng } from '@lockstep/sampler';

export const SHAPES = ['circle', 'square', 'triangle'] as const;

/** Points a pixel's side: an edge is as soft as in a photograph. */
const SAMPLES = 4;
const TEST_SHARE = 5;
const COLOUR = 3;

type Shape = (typeof SHAPES)[number];

/** Numbers from 0 to 1 that a seed decides: an equidistributed sequence is random enough for pictures, and is no code to speak of. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Full colour of this hue, 0 to 1. */
function hue(at: number): number[] {
  return [0, 2, 4].map((shift) => {
    const place = (6 * at + shift) % 6;
    return Math.max(0, Math.min(1, Math.abs(place - 3) - 1));
  });
}

/** Whether a point, with the shape's centre at 0 and its size 1, is inside. */
function isInside(shape: Shape, x: number, y: number): boolean {
  switch (shape) {
    case 'circle':
      return x * x + y * y <= 1;
    case 'square':
      return Math.max(Math.abs(x), Math.abs(y)) <= 0.85;
    case 'triangle':
      return y <= 0.7 && y >= 2 * Math.abs(x) - 1.1;
    default:
      return shape satisfies never;
  }
}

/** One image, side * side pixels of red, green and blue. */
function imageOf(shape: Shape, side: number, random: () => number): Uint8Array {
  const size = side * (0.2 + 0.2 * random());
  const [left, top] = [random(), random()].map((place) => size + place * (side - 2 * size));
  const ink = hue(random()).map((value) => 80 + 175 * value);
  const ground = hue(random()).map((value) => 15 + 45 * value);
  const image = new Uint8Array(side * side * COLOUR);
  for (let pixel = 0; pixel < side * side; pixel++) {
    let inside = 0;
    for (let sample = 0; sample < SAMPLES * SAMPLES; sample++) {
      const x = (pixel % side) + ((sample % SAMPLES) + 0.5) / SAMPLES;
      const y = Math.floor(pixel / side) + (Math.floor(sample / SAMPLES) + 0.5) / SAMPLES;
      if (isInside(shape, (x - left) / size, (y - top) / size)) inside++;
    }
    const share = inside / (SAMPLES * SAMPLES);
    for (let c = 0; c < COLOUR; c++) image[pixel * COLOUR + c] = Math.round(share * ink[c] + (1 - share) * ground[c]);
  }
  return image;
}

export interface ShapesOrder {
  readonly side: number;
  /** Training images of each class. */
  readonly each: number;
}

/** Writes both folders. */
export function drawShapes(
  folder: string,
  { side, each }: ShapesOrder,
): { readonly png: string; readonly idx: string } {
  const [png, idx] = [join(folder, 'png'), join(folder, 'idx')];
  mkdirSync(idx, { recursive: true });
  for (const [split, count, seed] of [
    ['train', each, 1],
    ['test', Math.ceil(each / TEST_SHARE), 2],
  ] as const) {
    const random = randomOf(seed);
    // Class after class, as a folder of PNGs is read.
    const images = SHAPES.flatMap((shape) => Array.from({ length: count }, () => imageOf(shape, side, random)));
    const labels = images.map((_, i) => Math.floor(i / count));
    writeFileSync(
      join(idx, IDX_NAMES[split].images),
      Buffer.concat([idxHeader([images.length, side, side, COLOUR]), ...images]),
    );
    writeFileSync(join(idx, IDX_NAMES[split].labels), Buffer.from([...idxHeader([labels.length]), ...labels]));
    if (split === 'test') continue;
    SHAPES.forEach((shape) => mkdirSync(join(png, shape), { recursive: true }));
    images.forEach((image, i) => {
      const name = `${String(i % count).padStart(5, '0')}.png`;
      const raster = { pixels: Buffer.from(image), width: side, height: side, channels: COLOUR };
      writeFileSync(join(png, SHAPES[labels[i]], name), rasterPng(raster));
    });
  }
  return { png, idx };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, side, each] = process.argv.slice(2);
  drawShapes(folder, { side: Number(side), each: Number(each) });
}
