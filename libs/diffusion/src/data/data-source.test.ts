import assert from 'node:assert/strict';
import { test } from 'node:test';

import { folderOf, greyPng, idxFile, pngFile } from './data.fixture.js';
import { loadDataset } from '#src/data/data-source.js';
import { checkDataset, describeDataset, inGrey } from '#src/data/dataset.js';
import { loadMnist } from '#src/data/mnist.js';

/** Two images of 2 by 1 in one class, one in another. */
const CLASSES = {
  'b/2.png': greyPng(2, [3, 4]),
  'b/10.png': greyPng(2, [1, 2]),
  'a/x.PNG': greyPng(2, [255, 0]),
};

test('mnist is the installed MNIST', () => {
  assert.deepEqual(loadDataset('mnist', 'test').digest, loadMnist('test').digest);
});

test('subfolders are classes in the order of their names, and so are the files in them', (context) => {
  const data = loadDataset(folderOf(context, CLASSES), 'train');
  assert.deepEqual([...data.images], [255, 0, 1, 2, 3, 4]);
  assert.deepEqual([...data.labels], [0, 1, 1]);
  assert.deepEqual([data.count, data.shape], [3, { rows: 1, columns: 2, channels: 1 }]);
});

test('a folder of PNGs has the digest of the IDX files with the same images and labels', (context) => {
  const idx = folderOf(context, {
    'train-images-idx3-ubyte': idxFile([3, 1, 2], [255, 0, 1, 2, 3, 4]),
    'train-labels-idx1-ubyte': idxFile([3], [0, 1, 1]),
  });
  assert.equal(loadDataset(folderOf(context, CLASSES), 'train').digest, loadDataset(idx, 'train').digest);
});

test('PNGs without subfolders are one class, and text beside them and hidden files are left out', (context) => {
  const files = { 'a.png': greyPng(1, [9]), 'README.txt': Uint8Array.of(1), '.DS_Store': Uint8Array.of(1) };
  const { images, labels } = loadDataset(folderOf(context, files), 'train');
  assert.deepEqual([[...images], [...labels]], [[9], [0]]);
});

const GREYS = Array.from({ length: 256 }, (_, grey) => [grey, grey, grey, 255]);
const COLOURS = [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [10, 20, 30, 255], ...GREYS];

test('grey stored as colour is grey, with the digest of grey', (context) => {
  const stored = ([0, 2, 6] as const).map((colorType) =>
    loadDataset(folderOf(context, { 'a.png': pngFile(256, GREYS, { colorType }) }), 'train'),
  );
  for (const data of stored) {
    assert.deepEqual([...data.images], [...GREYS.keys()]);
    assert.deepEqual([data.shape.channels, data.digest], [1, stored[0].digest]);
  }
});

test('one coloured pixel gives the whole set three channels, and the grey images before it keep their greys in each', (context) => {
  const files = {
    'a.png': greyPng(2, [7, 8]),
    'b.png': pngFile(2, [[1, 2, 3, 255], GREYS[9]], { colorType: 6 }),
    'c.png': greyPng(2, [10, 11]),
  };
  const data = loadDataset(folderOf(context, files), 'train');
  assert.deepEqual(data.shape, { rows: 1, columns: 2, channels: 3 });
  assert.deepEqual([...data.images], [7, 7, 7, 8, 8, 8, 1, 2, 3, 9, 9, 9, 10, 10, 10, 11, 11, 11]);
  assert.match(describeDataset(data), /^3 images of 2x1 in colour, 1 class /);
});

test('a folder of PNGs in colour has the digest of the IDX files of four dimensions with the same images', (context) => {
  const pixels = [10, 20, 30, 40, 50, 60];
  const png = pngFile(
    2,
    [pixels.slice(0, 3), pixels.slice(3)].map((rgb) => [...rgb, 255]),
    { colorType: 2 },
  );
  const labels = { 'train-labels-idx1-ubyte': idxFile([1], [0]) };
  const images = idxFile([1, 1, 2, 3], pixels);
  const { digest } = loadDataset(folderOf(context, { 'a.png': png }), 'train');
  for (const name of ['train-images-idx3-ubyte', 'train-images-idx4-ubyte', 'train-images.idx4-ubyte.gz']) {
    assert.equal(loadDataset(folderOf(context, { [name]: images, ...labels }), 'train').digest, digest, name);
  }
  const grey = folderOf(context, { 'train-images-idx4-ubyte': idxFile([1, 2, 3, 1], pixels), ...labels });
  const flat = folderOf(context, { 'train-images-idx3-ubyte': idxFile([1, 2, 3], pixels), ...labels });
  assert.equal(loadDataset(grey, 'train').digest, loadDataset(flat, 'train').digest);
  const two = folderOf(context, { 'train-images-idx3-ubyte': idxFile([1, 1, 3, 2], pixels), ...labels });
  assert.throws(() => loadDataset(two, 'train'), { code: 'E_DATA_FORMAT', message: /has 2 numbers a pixel/ });
});

test('in grey, colours have the greys of PIL, and greys their bytes', (context) => {
  const data = loadDataset(folderOf(context, { 'a.png': pngFile(260, COLOURS, { colorType: 2 }) }), 'train');
  const grey = inGrey(data);
  // The first four are what Image.convert('L') gives.
  assert.deepEqual([...grey.images], [76, 150, 29, 18, ...GREYS.keys()]);
  assert.deepEqual(grey.shape, { rows: 1, columns: 260, channels: 1 });
  assert.equal(inGrey(grey), grey);
});

test('what cannot be trained on is refused with its code', (context) => {
  const grey = greyPng(1, [1]);
  const damaged = Uint8Array.from(grey);
  damaged[50] ^= 1;
  const bad: (readonly [string, Record<string, Uint8Array>, string])[] = [
    ['an empty folder', {}, 'E_DATA_EMPTY'],
    ['a folder of other things', { 'a.txt': grey }, 'E_DATA_EMPTY'],
    ['an empty class', { 'a/1.png': grey, 'b/2.txt': grey }, 'E_DATA_EMPTY'],
    ['a PNG beside classes', { 'a/1.png': grey, '2.png': grey }, 'E_DATA_FORMAT'],
    ['a JPEG among PNGs', { 'a/1.png': grey, 'a/2.jpg': grey }, 'E_DATA_PNG'],
    ['a text called PNG', { 'a.png': Uint8Array.of(1, 2, 3) }, 'E_DATA_PNG'],
    ['a PNG cut off', { 'a.png': grey.subarray(0, 45) }, 'E_DATA_PNG'],
    ['a damaged PNG', { 'a.png': damaged }, 'E_DATA_PNG'],
    ['a transparent pixel', { 'a.png': pngFile(1, [[1, 1, 1, 254]], { colorType: 6 }) }, 'E_DATA_PNG'],
    ['two sizes', { 'a.png': grey, 'b.png': greyPng(2, [1, 2]) }, 'E_DATA_SIZE'],
    ['257 classes', Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`${i}/a.png`, grey])), 'E_DATA_LABEL'],
  ];
  for (const [what, files, code] of bad) {
    assert.throws(() => loadDataset(folderOf(context, files), 'train'), { code }, what);
  }
});

test('16 bits a channel are refused, and a header that claims a huge image before anything is decoded', (context) => {
  const patched = (change: (bytes: Buffer) => void): Uint8Array => {
    const bytes = Buffer.from(greyPng(1, [1]));
    change(bytes);
    return bytes;
  };
  const deep = patched((bytes) => bytes.writeUInt8(16, 24));
  const huge = patched((bytes) => bytes.writeUInt32BE(1 << 30, 16));
  for (const [bytes, code, message] of [
    [deep, 'E_DATA_PNG', /16 bits/],
    [huge, 'E_DATA_SIZE', /1073741824/],
  ] as const) {
    assert.throws(() => loadDataset(folderOf(context, { 'a.png': bytes }), 'train'), { code, message });
  }
});

test('a folder that is not there, and the test half of a folder of PNGs, are missing', (context) => {
  const folder = folderOf(context, CLASSES);
  assert.throws(() => loadDataset(`${folder}/no`, 'train'), { code: 'E_DATA_MISSING' });
  assert.throws(() => loadDataset(folder, 'test'), { code: 'E_DATA_MISSING' });
});

test("data is checked against the shape of the network's images and its number of classes", () => {
  const data = loadMnist('test');
  const shape = { rows: 28, columns: 28, channels: 1 };
  const needs = { shape, classes: 10 };
  checkDataset(data, needs);
  checkDataset(data, { ...needs, classes: null });
  for (const change of [{ rows: 32 }, { columns: 32 }, { channels: 3 }]) {
    assert.throws(() => checkDataset(data, { ...needs, shape: { ...shape, ...change } }), { code: 'E_DATA_SIZE' });
  }
  // The first image with a 9 is the eighth.
  assert.throws(() => checkDataset(data, { ...needs, classes: 9 }), { code: 'E_DATA_LABEL', message: /image 7 / });
});
