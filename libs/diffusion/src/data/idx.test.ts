import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { folderOf, idxFile } from './data.fixture.js';
import { loadDataset } from '#src/data/data-source.js';
import type { DiffusionError } from '#src/errors.js';
import { loadIdxFolder, parseIdx } from '#src/data/idx.js';
import { loadMnist, mnistDirectory } from '#src/data/mnist.js';

/** A 1-dimensional IDX file of three bytes. */
const LABELS = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];

const IMAGES_NAME = 'train-images-idx3-ubyte';
const LABELS_NAME = 'train-labels-idx1-ubyte';
/** Three images of 1 by 2. */
const THREE = idxFile([3, 1, 2], [1, 2, 3, 4, 5, 6]);
const THREE_LABELS = Uint8Array.from(LABELS);

test('an IDX file gives its dimensions and data', () => {
  const { dimensions, data } = parseIdx(Uint8Array.from(LABELS), [1], 'labels');
  assert.deepEqual([dimensions, [...data]], [[3], [7, 8, 9]]);
});

test('an IDX file in the middle of a larger buffer is read from its own start', () => {
  const buffer = Uint8Array.from([1, 2, 3, ...LABELS]);
  assert.deepEqual([...parseIdx(buffer.subarray(3), [1], 'labels').data], [7, 8, 9]);
});

test('a header of another kind, or a length that does not fit it, is refused with its code', () => {
  const bad: (readonly [string, number[], number])[] = [
    ['first byte not 0', [1, ...LABELS.slice(1)], 1],
    ['second byte not 0', [0, 1, ...LABELS.slice(2)], 1],
    ['floats, not bytes', [0, 0, 13, ...LABELS.slice(3)], 1],
    ['other number of dimensions', LABELS, 3],
    ['a byte missing', LABELS.slice(0, -1), 1],
    ['a byte too many', [...LABELS, 0], 1],
    ['header cut off', LABELS.slice(0, 6), 1],
    ['empty', [], 1],
  ];
  for (const [what, bytes, dimensions] of bad) {
    assert.throws(() => parseIdx(Uint8Array.from(bytes), [dimensions], 'file'), { code: 'E_DATA_FORMAT' }, what);
  }
});

test("a folder with MNIST's own files is MNIST, with the same digest", (context) => {
  const folder = folderOf(context, {});
  for (const name of ['t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte']) {
    copyFileSync(join(mnistDirectory(), name), join(folder, name));
  }
  const [ours, theirs] = [loadIdxFolder(folder, 'test'), loadMnist('test')];
  assert.equal(ours.digest, theirs.digest);
  assert.ok(Buffer.from(ours.images).equals(theirs.images) && Buffer.from(ours.labels).equals(theirs.labels));
  assert.deepEqual([ours.count, ours.shape], [theirs.count, theirs.shape]);
});

test('gzipped files are those that they hold, and a plain one comes first', (context) => {
  const plain = folderOf(context, { [IMAGES_NAME]: THREE, [LABELS_NAME]: THREE_LABELS });
  const gzipped = folderOf(context, {
    [`${IMAGES_NAME}.gz`]: gzipSync(THREE),
    [LABELS_NAME]: THREE_LABELS,
    [`${LABELS_NAME}.gz`]: Uint8Array.of(1),
  });
  const data = loadIdxFolder(plain, 'train');
  assert.deepEqual([...data.images, ...data.labels], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual([data.count, data.shape], [3, { rows: 1, columns: 2, channels: 1 }]);
  assert.deepEqual(loadIdxFolder(gzipped, 'train'), data);
});

test('whether a file is gzipped is told by its content, whatever its name; a dot stands for the dash before idx', (context) => {
  const plain = loadIdxFolder(folderOf(context, { [IMAGES_NAME]: THREE, [LABELS_NAME]: THREE_LABELS }), 'train');
  const same: Record<string, Uint8Array>[] = [
    { [IMAGES_NAME]: gzipSync(THREE), [`${LABELS_NAME}.gz`]: THREE_LABELS },
    { 'train-images.idx3-ubyte': THREE, 'train-labels.idx1-ubyte': THREE_LABELS },
    { 'train-images.idx3-ubyte.gz': gzipSync(THREE), 'train-labels.idx1-ubyte': gzipSync(THREE_LABELS) },
    // As an archive of MNIST unpacks: each file, and a folder of its other name with the file once more.
    {
      'train-images.idx3-ubyte': THREE,
      [`${IMAGES_NAME}/${IMAGES_NAME}`]: THREE,
      'train-labels.idx1-ubyte': THREE_LABELS,
    },
  ];
  for (const files of same) {
    assert.deepEqual(loadDataset(folderOf(context, files), 'train'), plain, Object.keys(files).join(' '));
  }
});

test('where a file is not found the names that are looked for are said, and what is nearly one', (context) => {
  const labels = { [LABELS_NAME]: THREE_LABELS };
  const missing: (readonly [string, RegExp])[] = [
    [
      'train-image-idx3-ubyte',
      /E_DATA_MISSING: .*train-images\.idx3-ubyte\.gz, .*: if train-image-idx3-ubyte is it, call it/,
    ],
    [
      'emnist-letters-train-images-idx3-ubyte.gz',
      /E_DATA_MISSING: .*if emnist-letters-\S+\.gz is it, call it train-images-/,
    ],
    ['t10k-images-idx3-ubyte', /E_DATA_MISSING: .*: put it there/],
  ];
  for (const [name, message] of missing) {
    const folder = folderOf(context, { [name]: THREE, ...labels });
    assert.throws(
      () => loadDataset(folder, 'train'),
      (error: DiffusionError) => message.test(error.message),
      name,
    );
  }
  assert.throws(() => loadDataset(folderOf(context, { 'Train-Images.idx3-ubyte': THREE, x: THREE }), 'train'), {
    code: 'E_DATA_EMPTY',
    message:
      /train-images-idx3-ubyte and train-labels-idx1-ubyte.*if Train-Images\.idx3-ubyte is one, call it train-images-/,
  });
});

test('a file that is a link to nowhere, a folder or a pipe is missing, with its path and without a code of the system', (context) => {
  const labels = { [LABELS_NAME]: THREE_LABELS };
  const dangling = folderOf(context, labels);
  symlinkSync('/nowhere/at-all', join(dangling, IMAGES_NAME));
  const pipe = folderOf(context, labels);
  execFileSync('mkfifo', [join(pipe, IMAGES_NAME)]);
  const inside = folderOf(context, { ...labels, [`${IMAGES_NAME}/x`]: THREE });
  for (const [folder, what] of [
    [dangling, /is a link to \/nowhere\/at-all, which is not there: mend/],
    [pipe, /is a device, pipe or socket, not a file: rename/],
    [inside, /is a folder, not a file: rename/],
  ] as const) {
    assert.throws(
      () => loadDataset(folder, 'train'),
      (error: DiffusionError) =>
        error.code === 'E_DATA_MISSING' &&
        what.test(error.message) &&
        error.message.includes(join(folder, IMAGES_NAME)) &&
        !/ENOENT|EISDIR/.test(error.message),
    );
  }
});

test('another pixel, another label, and another shape of the same bytes each give another digest', (context) => {
  const digest = (images: Uint8Array, labels: Uint8Array): string =>
    loadIdxFolder(folderOf(context, { [IMAGES_NAME]: images, [LABELS_NAME]: labels }), 'train').digest;
  const digests = [
    digest(THREE, THREE_LABELS),
    digest(idxFile([3, 1, 2], [1, 2, 3, 4, 5, 7]), THREE_LABELS),
    digest(THREE, idxFile([3], [7, 8, 0])),
    digest(idxFile([3, 2, 1], [1, 2, 3, 4, 5, 6]), THREE_LABELS),
  ];
  assert.equal(new Set(digests).size, digests.length);
});

test('files that are missing, cut off, unequal in number or empty are refused with their codes', (context) => {
  const bad: (readonly [string, Record<string, Uint8Array>, string])[] = [
    ['no labels', { [IMAGES_NAME]: THREE }, 'E_DATA_MISSING'],
    ['cut off', { [IMAGES_NAME]: THREE.subarray(0, -1), [LABELS_NAME]: THREE_LABELS }, 'E_DATA_FORMAT'],
    [
      'cut off when zipped',
      { [`${IMAGES_NAME}.gz`]: gzipSync(THREE).subarray(0, -9), [LABELS_NAME]: THREE_LABELS },
      'E_DATA_FORMAT',
    ],
    ['zipped twice', { [IMAGES_NAME]: gzipSync(gzipSync(THREE)), [LABELS_NAME]: THREE_LABELS }, 'E_DATA_FORMAT'],
    ['labels in place of images', { [IMAGES_NAME]: THREE_LABELS, [LABELS_NAME]: THREE_LABELS }, 'E_DATA_FORMAT'],
    ['a label too few', { [IMAGES_NAME]: THREE, [LABELS_NAME]: idxFile([2], [1, 2]) }, 'E_DATA_FORMAT'],
    ['no image', { [IMAGES_NAME]: idxFile([0, 1, 2], []), [LABELS_NAME]: idxFile([0], []) }, 'E_DATA_EMPTY'],
  ];
  for (const [what, files, code] of bad) {
    assert.throws(() => loadIdxFolder(folderOf(context, files), 'train'), { code }, what);
  }
});
