import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { loadMnist, mnistDirectory, MNIST_FILES } from '#src/data/mnist.js';

test('the training half is 60,000 images of 28 by 28 with the known first labels and ink', () => {
  const { images, labels, count, shape } = loadMnist('train');
  assert.deepEqual(shape, { rows: 28, columns: 28, channels: 1 });
  assert.deepEqual([count, images.length, labels.length], [60000, 47040000, 60000]);
  assert.deepEqual([...labels.slice(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
  // The mean of the training set's pixels is 0.1307 of full ink in every description of MNIST.
  const mean = images.reduce((sum, byte) => sum + byte, 0) / images.length / 255;
  assert.equal(mean.toFixed(4), '0.1307');
});

test("the digest of MNIST, which is in every run's config, is what it always was", () => {
  assert.equal(loadMnist('train').digest, '02def62d38696cddf2715e05122f741fafee2c190e42772b91f7c0c2f6604c7e');
});

test('the test half is 10,000 images with the known first labels and another digest', () => {
  const { labels, count, digest } = loadMnist('test');
  assert.equal(count, 10000);
  assert.deepEqual([...labels.slice(0, 5)], [7, 2, 1, 0, 4]);
  assert.match(digest, /^[0-9a-f]{64}$/);
  assert.notEqual(digest, loadMnist('train').digest);
});

test('a file with one bit changed, and a file that is not there, are refused with their codes', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mnist-'));
  try {
    assert.throws(() => loadMnist('test', directory), {
      code: 'E_MNIST_MISSING',
      message: /is not there: run npm ci$/,
    });
    const inTheWay = join(directory, MNIST_FILES.test.images.name);
    mkdirSync(inTheWay);
    // Reinstalling would not help.
    assert.throws(() => loadMnist('test', directory), {
      code: 'E_MNIST_MISSING',
      message: /cannot be read \([^:]*\)$/,
    });
    rmdirSync(inTheWay);
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
