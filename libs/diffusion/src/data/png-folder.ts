/**
 * A folder of PNGs as a data set. png-class-folders.ts finds the files and their classes; here they become pixels.
 *
 * What users of torchvision know is kept where it is safe: colours become grey by the luma of ITU-R 601 in PIL's integers, as
 * transforms.Grayscale has it. What there changes images without a word is refused here: transparency (dropped there), 16 bits a
 * channel (cut off there), images in other formats beside the PNGs. And nothing is resized.
 */
import { PNG } from 'pngjs';

import { readDataFile, reasonOf } from './data-files.js';
import { datasetDigest } from './dataset.js';
import type { Dataset } from './dataset.js';
import { DiffusionError } from '../errors.js';
import { MAX_SAMPLES } from '../training/order.js';
import { pngClassFolders } from './png-class-folders.js';

/** Images that a network here is trained on have some tens of pixels a side; this bounds what one file makes us allocate. */
const MAX_SIDE = 1024;
/** All images lie in one array; that of 2 GiB is the largest file that the other kind of data set could come from. */
const MAX_BYTES = 2 ** 31 - 1;

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
/** Signature, and the first chunk: length, name, width, height, bit depth, colour type. */
const HEADER_BYTES = 26;

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

/** The grey pixels of one file, which has to have this size. */
function greyOf(path: string, bytes: Buffer, { width, height }: Header, into: Uint8Array): void {
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
  for (let p = 0, at = 0; p < into.length; p++, at += 4) {
    if (data[at + 3] !== 255) {
      refusePng(path, 'is transparent: put it on a background');
    }
    into[p] = (19595 * data[at] + 38470 * data[at + 1] + 7471 * data[at + 2] + 32768) >> 16;
  }
}

/**
 * All PNGs of a folder, class after class, in the order of their names.
 *
 * @throws E_DATA_MISSING, E_DATA_EMPTY, E_DATA_FORMAT, E_DATA_LABEL, E_DATA_PNG; E_DATA_SIZE if sizes differ, or there is more than fits
 */
export function loadPngFolder(folder: string): Dataset {
  const { files, classNames } = pngClassFolders(folder);
  const size = headerOf(files[0].path, readDataFile(files[0].path));
  const pixels = size.width * size.height;
  const fits = size.width <= MAX_SIDE && size.height <= MAX_SIDE && files.length * pixels <= MAX_BYTES;
  if (!fits || files.length > MAX_SAMPLES) {
    throw new DiffusionError(
      'E_DATA_SIZE',
      `${files.length} images of ${size.width}x${size.height}: at most ${MAX_SIDE} pixels a side and ${MAX_BYTES} in all are read`,
    );
  }
  const images = new Uint8Array(files.length * pixels);
  files.forEach(({ path }, i) => {
    greyOf(path, readDataFile(path), size, images.subarray(i * pixels, (i + 1) * pixels));
  });
  const labels = Uint8Array.from(files, ({ label }) => label);
  const data = { images, labels, count: files.length, rows: size.height, columns: size.width };
  return { ...data, digest: datasetDigest(data), classNames };
}
