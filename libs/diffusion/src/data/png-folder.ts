/**
 * A folder of PNGs as a data set. png-class-folders.ts finds the files and their classes; here they become pixels.
 *
 * What torchvision changes in images without a word is refused here: transparency (dropped there), 16 bits a channel (cut off
 * there), images in other formats beside the PNGs. And nothing is resized.
 */
import { MAX_SAMPLES } from '@lockstep/task';
import { PNG } from 'pngjs';

import { readDataFile, reasonOf } from './data-files.js';
import { datasetDigest } from './dataset.js';
import type { Dataset } from './dataset.js';
import { DiffusionError } from '../errors.js';
import { COLOUR, GREY, shownShape, valuesOf } from './image-shape.js';
import type { ImageShape } from './image-shape.js';
import { pngClassFolders } from './png-class-folders.js';

/** Images that a network here is trained on have some tens of pixels a side; this bounds what one file makes us allocate. */
const MAX_SIDE = 1024;
/** All images lie in one array; that of 2 GiB is the largest file that the other kind of data set could come from. */
const MAX_BYTES = 2 ** 31 - 1;

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
/** Signature, and the first chunk: length, name, width, height, bit depth, colour type. */
const HEADER_BYTES = 26;
/** Of a decoded pixel: red, green, blue, and how opaque it is. */
const PIXEL_BYTES = 4;

type Header = { readonly width: number; readonly height: number; readonly bits: number };

const refusePng = (path: string, what: string): never => {
  throw new DiffusionError('E_DATA_PNG', `${path} ${what}`);
};

/** Read before the rest is decoded, so that no file makes us allocate what it likes. */
function headerOf(path: string, bytes: Buffer): Header {
  if (bytes.length < HEADER_BYTES || !SIGNATURE.equals(bytes.subarray(0, SIGNATURE.length))) {
    refusePng(path, 'does not begin like a PNG: replace it');
  }
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), bits: bytes[24] };
}

/** The pixels of one file, which has to have this size: four bytes each, red, green, blue and 255. */
function pixelsOf(path: string, bytes: Buffer, { width, height }: Header): Buffer {
  const header = headerOf(path, bytes);
  if (header.width !== width || header.height !== height) {
    throw new DiffusionError(
      'E_DATA_SIZE',
      `${path} is ${header.width}x${header.height}, the images before it ${width}x${height}: resize it`,
    );
  }
  if (header.bits > 8) {
    refusePng(path, `has ${header.bits} bits a channel: convert it to 8`);
  }
  let data: Buffer;
  try {
    ({ data } = PNG.sync.read(bytes));
  } catch (cause) {
    return refusePng(path, `cannot be decoded (${reasonOf(cause)}): replace it`);
  }
  for (let at = PIXEL_BYTES - 1; at < data.length; at += PIXEL_BYTES) {
    if (data[at] !== 255) {
      refusePng(path, 'is transparent: put it on a background');
    }
  }
  return data;
}

/** Grey stored as colour is grey. */
function hasColour(pixels: Buffer): boolean {
  for (let at = 0; at < pixels.length; at += PIXEL_BYTES) {
    if (pixels[at] !== pixels[at + 1] || pixels[at] !== pixels[at + 2]) return true;
  }
  return false;
}

/** @throws E_DATA_SIZE if so many images are more than is held */
function checkFits(count: number, shape: ImageShape): void {
  const { rows, columns } = shape;
  const fits = columns <= MAX_SIDE && rows <= MAX_SIDE && count * valuesOf(shape) <= MAX_BYTES;
  if (!fits || count > MAX_SAMPLES) {
    throw new DiffusionError(
      'E_DATA_SIZE',
      `${count} images of ${shownShape(shape)}: at most ${MAX_SIDE} pixels a side and ${MAX_BYTES} bytes in all are read`,
    );
  }
}

/**
 * All PNGs of a folder, class after class, in the order of their names. In colour if any pixel has one, else grey.
 *
 * @throws E_DATA_MISSING, E_DATA_EMPTY, E_DATA_FORMAT, E_DATA_LABEL, E_DATA_PNG; E_DATA_SIZE if sizes differ, or there is more than fits
 */
export function loadPngFolder(folder: string): Dataset {
  const { files, classNames } = pngClassFolders(folder);
  const count = files.length;
  const size = headerOf(files[0].path, readDataFile(files[0].path));
  let shape: ImageShape = { rows: size.height, columns: size.width, channels: GREY };
  checkFits(count, shape);
  let images = new Uint8Array(count * valuesOf(shape));
  files.forEach(({ path }, i) => {
    const pixels = pixelsOf(path, readDataFile(path), size);
    if (shape.channels === GREY && hasColour(pixels)) {
      // Those before it are grey, so that nothing of them is lost.
      const inColour = { ...shape, channels: COLOUR };
      checkFits(count, inColour);
      images = repeated(images, COLOUR);
      shape = inColour;
    }
    const [values, { channels }] = [valuesOf(shape), shape];
    for (let v = 0; v < values; v++) {
      images[i * values + v] = pixels[Math.floor(v / channels) * PIXEL_BYTES + (v % channels)];
    }
  });
  const labels = Uint8Array.from(files, ({ label }) => label);
  const data = { images, labels, count, shape };
  return { ...data, digest: datasetDigest(data), classNames };
}

/** Each byte `times` times. */
function repeated(bytes: Uint8Array, times: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(bytes.length * times);
  for (let i = 0; i < all.length; i++) all[i] = bytes[Math.floor(i / times)];
  return all;
}
