/**
 * IDX files, the format of MNIST and of the data sets made after it (Fashion-MNIST, KMNIST, QMNIST, EMNIST), plain or gzipped.
 *
 * An IDX file is big-endian: two zero bytes, a type (8: unsigned bytes), the number of dimensions, then each dimension as a
 * 32-bit integer, then the data.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { datasetDigest } from './dataset.js';
import type { Dataset, Split } from './dataset.js';
import { DiffusionError } from './errors.js';

export type IdxFile = { readonly dimensions: readonly number[]; readonly data: Uint8Array };

/** The names that all of these data sets use. */
export const IDX_NAMES: Readonly<Record<Split, { readonly images: string; readonly labels: string }>> = {
  train: { images: 'train-images-idx3-ubyte', labels: 'train-labels-idx1-ubyte' },
  test: { images: 't10k-images-idx3-ubyte', labels: 't10k-labels-idx1-ubyte' },
};

const UNSIGNED_BYTE = 8;
/** IDX allows 255 dimensions; three are more than MNIST has use for, four leaves room for channels. */
const MAX_DIMENSIONS = 4;
/** Node reads no larger file at once; also how far a gzipped file may unfold. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/**
 * Reads an IDX file of unsigned bytes.
 *
 * @param name what to call the file in an error
 * @throws E_DATA_FORMAT if the header is not such a file's with `dimensions` dimensions, or the length does not fit it
 */
export function parseIdx(bytes: Uint8Array, dimensions: number, name: string): IdxFile {
  const fail = (what: string): never => {
    throw new DiffusionError('E_DATA_FORMAT', `${name}: ${what}. Fetch the file again`);
  };
  const headerLength = 4 + 4 * dimensions;
  if (dimensions > MAX_DIMENSIONS || bytes.length < headerLength) {
    return fail(`${bytes.length} bytes are too few for a header of ${dimensions} dimensions`);
  }
  if (bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== UNSIGNED_BYTE || bytes[3] !== dimensions) {
    return fail(`starts with bytes ${bytes.slice(0, 4).join(' ')}, not 0 0 ${UNSIGNED_BYTE} ${dimensions}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (bytes.length !== headerLength + size) {
    return fail(`${bytes.length} bytes, but its header says ${headerLength + size}`);
  }
  return { dimensions: shape, data: bytes.subarray(headerLength) };
}

/** Whether files of this name, plain or gzipped, are for {@link loadIdxFolder}. */
export function isIdxName(name: string): boolean {
  return Object.values(IDX_NAMES).some(({ images, labels }) => [images, labels].includes(name.replace(/\.gz$/, '')));
}

function readPlainOrGzipped(folder: string, name: string): Uint8Array {
  const path = [name, `${name}.gz`].map((file) => join(folder, file)).find((file) => existsSync(file));
  if (path === undefined) {
    throw new DiffusionError('E_DATA_MISSING', `${folder} holds neither ${name} nor ${name}.gz: put it there`);
  }
  let bytes: Uint8Array;
  try {
    if (statSync(path).size > MAX_FILE_BYTES) {
      throw new RangeError(`it is larger than ${MAX_FILE_BYTES} bytes`);
    }
    bytes = readFileSync(path);
  } catch (cause) {
    throw new DiffusionError('E_DATA_MISSING', `cannot read ${path} (${String(cause)}): check it and its permissions`);
  }
  if (!path.endsWith('.gz')) {
    return bytes;
  }
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_FILE_BYTES });
  } catch (cause) {
    throw new DiffusionError('E_DATA_FORMAT', `${path} cannot be unzipped (${String(cause)}): fetch the file again`);
  }
}

/**
 * One half of a data set in MNIST's four files.
 *
 * @throws E_DATA_MISSING, E_DATA_FORMAT; E_DATA_EMPTY if there is no image
 */
export function loadIdxFolder(folder: string, split: Split): Dataset {
  const names = IDX_NAMES[split];
  const images = parseIdx(readPlainOrGzipped(folder, names.images), 3, join(folder, names.images));
  const labels = parseIdx(readPlainOrGzipped(folder, names.labels), 1, join(folder, names.labels));
  const [count, rows, columns] = images.dimensions;
  if (labels.dimensions[0] !== count) {
    throw new DiffusionError(
      'E_DATA_FORMAT',
      `${folder} has ${count} images but ${labels.dimensions[0]} labels: take both files from one data set`,
    );
  }
  if (images.data.length === 0) {
    throw new DiffusionError('E_DATA_EMPTY', `${join(folder, names.images)} holds no image: name another folder`);
  }
  const data = { images: images.data, labels: labels.data, count, rows, columns };
  return { ...data, digest: datasetDigest(data) };
}
