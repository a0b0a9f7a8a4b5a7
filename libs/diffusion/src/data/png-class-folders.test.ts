import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { folderOf, greyPng, idxFile } from './data.fixture.js';
import { loadDataset } from '#src/data/data-source.js';
import { describeDataset } from '#src/data/dataset.js';
import { loadMnist } from '#src/data/mnist.js';
import { pngClassFolders } from '#src/data/png-class-folders.js';

const PICTURE = greyPng(1, [1]);

/** A folder with a picture at each of these paths. */
function pictures(context: TestContext, ...paths: readonly string[]): string {
  return folderOf(context, Object.fromEntries(paths.map((path) => [path, PICTURE])));
}

/** Files with their labels, relative to `folder`. */
function listed(folder: string): string[] {
  return pngClassFolders(folder).files.map(({ path, label }) => `${path.slice(folder.length + 1)} ${label}`);
}

test('a class is all that lies in its folder at any depth, in the order in which torchvision has it', (context) => {
  const folder = pictures(
    context,
    'a/more/1.png',
    'a/more/2.png',
    'a/0.png',
    'a/b/c/3.png',
    'a/b-c/4.png',
    'b/0.png',
    'a/.x/9.png',
  );
  const found = ['a/0.png 0', 'a/b-c/4.png 0', 'a/b/c/3.png 0', 'a/more/1.png 0', 'a/more/2.png 0', 'b/0.png 1'];
  assert.deepEqual(listed(folder), found);
  assert.equal(loadDataset(folder, 'train').count, found.length);
});

test('classes whose names are all whole numbers are numbered in the order of those, others by their names', (context) => {
  const names = (...folders: readonly string[]): readonly string[] =>
    loadDataset(pictures(context, ...folders.map((name) => `${name}/x.png`)), 'train').classNames;
  const twelve = Array.from({ length: 12 }, (_, i) => String(i));
  assert.deepEqual(names(...twelve), twelve);
  assert.deepEqual(names('07', '10', '9', '007'), ['007', '07', '9', '10']);
  assert.deepEqual(names('99999999999999999999', '100000000000000000000'), [
    '99999999999999999999',
    '100000000000000000000',
  ]);
  assert.deepEqual(names('10', '9', 'x'), ['10', '9', 'x']);
  assert.deepEqual(names('b', 'B', 'a'), ['B', 'a', 'b']);
});

test('data without folders of classes has numbers for names, and what was read is said in a line', (context) => {
  assert.deepEqual(loadDataset(pictures(context, '1.png'), 'train').classNames, ['0']);
  assert.match(describeDataset(loadMnist('test')), /^10000 images of 28x28, 10 classes \(0 1 2 3 4 5 6 7 8 9\)$/);
  const odd = loadDataset(pictures(context, 'a cat/1.png', 'dog/1.png', 'x\ny/1.png'), 'train');
  assert.match(describeDataset(odd), /^3 images of 1x1, 3 classes \("a cat" dog "x\\ny"\)$/);
  const many = { ...odd, classNames: Array.from({ length: 256 }, (_, i) => `c${i}`) };
  assert.match(describeDataset(many), /256 classes \(c0 .* c19 and 236 more\)/);
});

test('a folder around the classes, or one divided into train and test, is refused, and the folder to name is named', (context) => {
  const train = idxFile([1, 1, 1], [1]);
  const cases: (readonly [string, string])[] = [
    [pictures(context, 'train/0/1.png', 'test/0/1.png'), 'train'],
    [pictures(context, 'Train/1.png', 'Test/1.png', 'extra/1.png'), 'Train'],
    [pictures(context, 'testing/0/1.png', 'training/0/1.png', 'training/1/1.png'), 'training'],
    [folderOf(context, { 'test/t10k-images-idx3-ubyte': train, 'train/train-images-idx3-ubyte': train }), 'train'],
    [pictures(context, 'mnist_png/0/1.png', 'mnist_png/1/1.png'), 'mnist_png'],
  ];
  for (const [folder, named] of cases) {
    assert.throws(() => loadDataset(folder, 'train'), {
      code: 'E_DATA_FORMAT',
      message: new RegExp(
        `holds subfolders of pictures .*: name that folder, for example --data ${join(folder, named)}$`,
      ),
    });
  }
  assert.equal(loadDataset(pictures(context, 'train/1.png', 'plane/1.png'), 'train').classNames[1], 'train');
});

test('a class without a PNG that holds IDX files further down is told as the data set that it is', (context) => {
  const folder = folderOf(context, { 'MNIST/raw/train-images-idx3-ubyte': idxFile([1, 1, 1], [1]) });
  assert.throws(() => loadDataset(folder, 'train'), {
    code: 'E_DATA_EMPTY',
    message: new RegExp(`name that folder, --data ${join(folder, 'MNIST', 'raw')}$`),
  });
});

test('links to pictures and folders are followed; one that leads nowhere or round is refused with its path', (context) => {
  const elsewhere = pictures(context, 'deep/1.png', '2.png');
  const good = pictures(context, 'a/0.png');
  symlinkSync(elsewhere, join(good, 'b'));
  symlinkSync(join(elsewhere, '2.png'), join(good, 'a', '9.png'));
  assert.deepEqual(listed(good), ['a/0.png 0', 'a/9.png 0', 'b/2.png 1', 'b/deep/1.png 1']);

  const round = [
    ['a/back', '..'],
    ['a/self', '.'],
    ['up', '..'],
    ['all', '/'],
  ] as const;
  for (const [at, target] of round) {
    const folder = pictures(context, 'a/0.png');
    symlinkSync(target, join(folder, at));
    assert.throws(() => loadDataset(folder, 'train'), {
      code: 'E_DATA_FORMAT',
      message: new RegExp(`${at} is a link to .*in which it lies`),
    });
  }
  for (const at of ['a/x.png', 'b', 'c.png']) {
    const folder = pictures(context, 'a/0.png');
    symlinkSync('nowhere', join(folder, at));
    assert.throws(() => loadDataset(folder, 'train'), {
      code: 'E_DATA_MISSING',
      text: `${join(folder, at)} is a link to nowhere, which is not there: mend the link, or take it away`,
    });
  }
  const circle = pictures(context, 'a/0.png');
  symlinkSync('x.png', join(circle, 'a', 'x.png'));
  assert.throws(() => loadDataset(circle, 'train'), {
    code: 'E_DATA_MISSING',
    message: /x\.png is a link that leads round/,
  });
});

test('a folder that is called as a picture is, and a file that is named as a folder of data, are refused with their paths', (context) => {
  const folder = pictures(context, 'a/0.png', 'a/x.png/1.png');
  assert.throws(() => loadDataset(folder, 'train'), { code: 'E_DATA_FORMAT', message: /a.x\.png is a folder, though/ });
  assert.throws(() => loadDataset(join(folder, 'a', '0.png'), 'train'), {
    code: 'E_DATA_MISSING',
    message: /0\.png cannot be read \(not a directory\): check/,
  });
});
