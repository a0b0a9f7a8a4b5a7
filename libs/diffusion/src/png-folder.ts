/**
 * A folder of PNGs as a data set, as torchvision's ImageFolder reads it: each subfolder is a class, and the classes are numbered in
 * the order of their names. A folder without subfolders is one class.
 *
 * What users of torchvision know is kept where it is safe: colours become grey by the luma of ITU-R 601 in PIL's integers, as
 * transforms.Grayscale has it. What there changes images without a word is refused here: transparency (dropped there), 16 bits a
 * channel (cut off there), images in other formats beside the PNGs. And nothing is resized.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { PNG } from 'pngjs';

import { datasetDigest } from './dataset.js';
import type { Dataset } from './dataset.js';
import { DiffusionError } from './errors.js';
import { MAX_SAMPLES } from './order.js';

/** A label is one byte. */
const MAX_CLASSES = 256;
/** Images that a network here is trained on have some tens of pixels a side; this bounds what one file makes us allocate. */
const MAX_SIDE = 1024;
/** All images lie in one array; that of 2 GiB is the largest file that the other kind of data set could come from. */
const MAX_BYTES = 2 ** 31 - 1;

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
/** Signature, and the first chunk: length, name, width, height, bit depth, colour type. */
const HEADER_BYTES = 26;
const OTHER_IMAGE = /\.(jpe?g|gif|bmp|webp|tiff?|p[bgp]m)$/i;

type LabelledFile = { readonly path: string; readonly label: number };
type Header = { readonly width: number; readonly height: number; readonly bits: number };

const refusePng = (path: string, what: string): never => {
  throw new DiffusionError('E_DATA_PNG', `${path} ${what}`);
};

/** Names in a folder but hidden ones, in an order that no system's language decides. */
function namesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort();
}

function pngsIn(folder: string, names: readonly string[], label: number): LabelledFile[] {
  const other = names.find((name) => OTHER_IMAGE.test(name));
  if (other !== undefined) {
    refusePng(join(folder, other), 'is no PNG, and only PNGs are read: convert it, or take it away');
  }
  return names.filter((name) => /\.png$/i.test(name)).map((name) => ({ path: join(folder, name), label }));
}

function filesOf(folder: string): LabelledFile[] {
  const names = namesIn(folder);
  const isFolder = (name: string): boolean => statSync(join(folder, name)).isDirectory();
  const classes = names.filter(isFolder);
  const loose = pngsIn(
    folder,
    names.filter((name) => !isFolder(name)),
    0,
  );
  if (classes.length === 0) {
    return loose;
  }
  if (loose.length > 0) {
    throw new DiffusionError(
      'E_DATA_FORMAT',
      `${loose[0].path} lies beside subfolders, which are classes: put it into one, or take the subfolders away`,
    );
  }
  if (classes.length > MAX_CLASSES) {
    throw new DiffusionError('E_DATA_LABEL', `${folder} has ${classes.length} subfolders: ${MAX_CLASSES} at most`);
  }
  return classes.flatMap((name, label) => {
    const files = pngsIn(join(folder, name), namesIn(join(folder, name)), label);
    if (files.length === 0) {
      throw new DiffusionError('E_DATA_EMPTY', `${join(folder, name)} holds no PNG: fill the class or take it away`);
    }
    return files;
  });
}

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
    return refusePng(path, `cannot be decoded (${String(cause)}): replace it`);
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
 * @throws E_DATA_EMPTY, E_DATA_FORMAT, E_DATA_LABEL, E_DATA_PNG; E_DATA_SIZE if sizes differ, or there is more than fits
 */
export function loadPngFolder(folder: string): Dataset {
  const files = filesOf(folder);
  if (files.length === 0) {
    throw new DiffusionError('E_DATA_EMPTY', `${folder} holds neither IDX files nor PNGs: name a folder that does`);
  }
  const size = headerOf(files[0].path, readFileSync(files[0].path));
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
    greyOf(path, readFileSync(path), size, images.subarray(i * pixels, (i + 1) * pixels));
  });
  const labels = Uint8Array.from(files, ({ label }) => label);
  const data = { images, labels, count: files.length, rows: size.height, columns: size.width };
  return { ...data, digest: datasetDigest(data) };
}
