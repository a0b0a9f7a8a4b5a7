import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { loadMnist, mnistDirectory, MNIST_FILES, parseIdx, pixelToFloat } from './mnist.js';

/** A 1-dimensional IDX file of three bytes. */
const LABELS = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];

test('the training half is 60,000 images of 28 by 28 with the known first labels and ink', () => {
  const { images, labels, count, rows, columns } = loadMnist('train');
  assert.deepEqual([count, rows, columns, images.length, labels.length], [60000, 28, 28, 47040000, 60000]);
  assert.deepEqual([...labels.slice(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
  // The mean of the training set's pixels is 0.1307 of full ink in every description of MNIST.
  const mean = images.reduce((sum, byte) => sum + byte, 0) / images.length / 255;
  assert.equal(mean.toFixed(4), '0.1307');
});

test('the test half is 10,000 images with the known first labels and another digest', () => {
  const { labels, count, digest } = loadMnist('test');
  assert.equal(count, 10000);
  assert.deepEqual([...labels.slice(0, 5)], [7, 2, 1, 0, 4]);
  assert.match(digest, /^[0-9a-f]{64}$/);
  assert.notEqual(digest, loadMnist('train').digest);
});

test('an IDX file gives its dimensions and data', () => {
  const { dimensions, data } = parseIdx(Uint8Array.from(LABELS), 1, 'labels');
  assert.deepEqual([dimensions, [...data]], [[3], [7, 8, 9]]);
});

test('an IDX file in the middle of a larger buffer is read from its own start', () => {
  const buffer = Uint8Array.from([1, 2, 3, ...LABELS]);
  assert.deepEqual([...parseIdx(buffer.subarray(3), 1, 'labels').data], [7, 8, 9]);
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
    assert.throws(() => parseIdx(Uint8Array.from(bytes), dimensions, 'file'), { code: 'E_MNIST_FORMAT' }, what);
  }
});

test('a file with one bit changed, and a file that is not there, are refused with their codes', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mnist-'));
  try {
    assert.throws(() => loadMnist('test', directory), { code: 'E_MNIST_MISSING' });
    const { images, labels } = MNIST_FILES.test;
    copyFileSync(join(mnistDirectory(), images.name), join(directory, images.name));
    const bytes = readFileSync(join(mnistDirectory(), labels.name));
    bytes[5000] ^= 1;
    writeFileSync(join(directory, labels.name), bytes);
    assert.throws(() => loadMnist('test', directory), { code: 'E_MNIST_DIGEST' });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('pixels span -1 to 1', () => {
  assert.equal(pixelToFloat(0), -1);
  assert.equal(pixelToFloat(255), 1);
  assert.ok(Math.abs(pixelToFloat(128) - 1 / 255) < 1e-7);
});
