/**
 * IDX files, the format of MNIST and of the data sets made after it (Fashion-MNIST, KMNIST, QMNIST, EMNIST), plain or gzipped,
 * whatever their names say of that.
 *
 * An IDX file is big-endian: two zero bytes, a type (8: unsigned bytes), the number of dimensions, then each dimension as a
 * 32-bit integer, then the data. Images have count, rows and columns; images in colour a fourth dimension, of 3.
 */
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { isFolder, MAX_FILE_BYTES, namesIn, readDataFile, reasonOf } from './data-files.js';
import { datasetDigest, numberNames } from './dataset.js';
import type { Dataset, Split } from './dataset.js';
import { COLOUR, GREY } from './image-shape.js';
import { DiffusionError } from '../errors.js';

export type IdxFile = { readonly dimensions: readonly number[]; readonly data: Uint8Array };

/** The names that all of these data sets use. */
export const IDX_NAMES: Readonly<Record<Split, { readonly images: string; readonly labels: string }>> = {
  train: { images: 'train-images-idx3-ubyte', labels: 'train-labels-idx1-ubyte' },
  test: { images: 't10k-images-idx3-ubyte', labels: 't10k-labels-idx1-ubyte' },
};

const UNSIGNED_BYTE = 8;
/** What a gzipped file begins with; an IDX file begins with zeros. */
const GZIP = [0x1f, 0x8b];
/** Letters by which a name may miss the right one to be named in a message: `test` for `t10k` is three. */
const NEAR = 3;

/**
 * Reads an IDX file of unsigned bytes.
 *
 * @param ranks numbers of dimensions that it may have
 * @param name what to call the file in an error
 * @throws E_DATA_FORMAT if the header is not such a file's, or the length does not fit it
 */
export function parseIdx(bytes: Uint8Array, ranks: readonly number[], name: string): IdxFile {
  const fail = (what: string): never => {
    throw new DiffusionError('E_DATA_FORMAT', `${name}: ${what}. Fetch the file again`);
  };
  const dimensions = bytes.length < 4 ? 0 : bytes[3];
  if (bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== UNSIGNED_BYTE || !ranks.includes(dimensions)) {
    return fail(`starts with bytes ${bytes.slice(0, 4).join(' ')}, not 0 0 ${UNSIGNED_BYTE} ${ranks.join(' or ')}`);
  }
  const headerLength = 4 + 4 * dimensions;
  if (bytes.length < headerLength) {
    return fail(`${bytes.length} bytes are too few for a header of ${dimensions} dimensions`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i));
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (bytes.length !== headerLength + size) {
    return fail(`${bytes.length} bytes, but its header says ${headerLength + size}`);
  }
  return { dimensions: shape, data: bytes.subarray(headerLength) };
}

/**
 * The names under which a file of these may lie, the usual one first: mirrors write a dot, and `idx4` is what a file of four
 * dimensions is called by the rule that gave the others their names. Whether it is gzipped its content says.
 */
function variantsOf(name: string): string[] {
  const bare = [name, name.replace('-idx', '.idx')];
  const ofFour = bare.map((one) => one.replace('idx3', 'idx4')).filter((one) => !bare.includes(one));
  return [...bare, ...ofFour].flatMap((one) => [one, `${one}.gz`]);
}

const ALL_NAMES = Object.values(IDX_NAMES).flatMap(({ images, labels }) => [images, labels]);
const ALL_VARIANTS: ReadonlySet<string> = new Set(ALL_NAMES.flatMap(variantsOf));

/** Whether files of this name are for {@link loadIdxFolder}. */
export function isIdxName(name: string): boolean {
  return ALL_VARIANTS.has(name);
}

/**
 * One of `names` that is nearly a file's of these data sets, and what that is called, for a message; null if there is none. Nearly:
 * with more before or after it, as EMNIST's names have, in other case, or a few letters wrong.
 */
export function nearlyIdx(names: readonly string[]): { readonly name: string; readonly meant: string } | null {
  for (const name of names) {
    const bare = name.toLowerCase().replace(/\.gz$/, '').replace('.idx', '-idx');
    const meant = ALL_NAMES.find((one) => bare.includes(one) || editDistance(bare, one) <= NEAR);
    if (meant !== undefined && !isIdxName(name)) return { name, meant };
  }
  return null;
}

/** Letters to be put in, taken out or changed until `a` is `b` (Levenshtein), or more than NEAR if the lengths alone say so. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > NEAR) return NEAR + 1;
  let above = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, above[j] + 1, row[j - 1] + 1));
    }
    above = row;
  }
  return above[b.length];
}

/** A file of these data sets under any of its names, unzipped if it is gzipped. */
function readIdx(folder: string, name: string, ranks: readonly number[]): IdxFile {
  const names = namesIn(folder);
  const present = variantsOf(name).filter((variant) => names.includes(variant));
  if (present.length === 0) {
    const near = nearlyIdx(names.filter((other) => !isIdxName(other)));
    throw new DiffusionError(
      'E_DATA_MISSING',
      `${folder} holds none of ${variantsOf(name).join(', ')}: ` +
        (near?.meant === name ? `if ${near.name} is it, call it ${name}` : 'put it there'),
    );
  }
  // Some archives unpack each file into a folder of its name, beside the file itself.
  const file = present.find((variant) => !isFolder(join(folder, variant))) ?? present[0];
  const path = join(folder, file);
  const bytes = readDataFile(path);
  if (!GZIP.every((byte, i) => bytes[i] === byte)) return parseIdx(bytes, ranks, path);
  let unzipped: Uint8Array;
  try {
    unzipped = gunzipSync(bytes, { maxOutputLength: MAX_FILE_BYTES });
  } catch (cause) {
    throw new DiffusionError('E_DATA_FORMAT', `${path} cannot be unzipped (${reasonOf(cause)}): fetch the file again`);
  }
  return parseIdx(unzipped, ranks, path);
}

/**
 * One half of a data set in MNIST's four files.
 *
 * @throws E_DATA_MISSING, E_DATA_FORMAT, E_DATA_SIZE; E_DATA_EMPTY if there is no image
 */
export function loadIdxFolder(folder: string, split: Split): Dataset {
  const names = IDX_NAMES[split];
  const images = readIdx(folder, names.images, [3, 4]);
  const labels = readIdx(folder, names.labels, [1]);
  const [count, rows, columns, channels = GREY] = images.dimensions;
  if (labels.dimensions[0] !== count) {
    throw new DiffusionError(
      'E_DATA_FORMAT',
      `${folder} has ${count} images but ${labels.dimensions[0]} labels: take both files from one data set`,
    );
  }
  if (images.data.length === 0) {
    throw new DiffusionError('E_DATA_EMPTY', `${join(folder, names.images)} holds no image: name another folder`);
  }
  if (channels !== GREY && channels !== COLOUR) {
    throw new DiffusionError(
      'E_DATA_FORMAT',
      `${join(folder, names.images)} has ${channels} numbers a pixel: ${GREY} (grey) and ${COLOUR} (red, green, blue) are read`,
    );
  }
  const data = { images: images.data, labels: labels.data, count, shape: { rows, columns, channels } };
  return { ...data, digest: datasetDigest(data), classNames: numberNames(labels.data) };
}
