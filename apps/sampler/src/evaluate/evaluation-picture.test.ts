import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PNG } from 'pngjs';
import type { Images } from '@lockstep/evaluation';
import { evaluationPicture } from '#src/evaluate/evaluation-picture.js';

const SIZE = 28;
/** Where the right half begins, and how wide a column is: images at scale 2, and gaps of 2. */
const [RIGHT, CELL] = [8 * 58 + 8, 58];

/** Images of one grey each. */
function greys(...values: number[]): Images {
  const images = Uint8Array.from(
    { length: values.length * SIZE * SIZE },
    (_, i) => values[Math.floor(i / SIZE / SIZE)],
  );
  return { images, count: values.length, shape: { rows: SIZE, columns: SIZE, channels: 1 } };
}

function picture(counts: readonly number[]): (x: number, y: number) => number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const classes = { counts, chiSquared: 0, largestDeviation: 0 };
  const bytes = evaluationPicture({
    evaluation: {
      samples: total,
      classes: { samples: classes, floor: classes, ceiling: classes },
      closestPairs: [{ label: 1, sample: 5, trainingImage: 2, distance: 1 }],
    },
    samples: greys(...Array.from({ length: 64 }, (_, i) => i)),
    train: { ...greys(200, 210, 220), labels: Uint8Array.of(1, 0, 1) },
  });
  const { width, data } = PNG.sync.read(bytes);
  assert.equal(width, RIGHT + counts.length * CELL + 2);
  return (x, y) => data[4 * (y * width + x)];
}

/** Height of a class' bar, pixels: the bars' grey in a column that crosses it. */
function barHeight(at: (x: number, y: number) => number, label: number): number {
  return Array.from({ length: 6 * CELL }, (_, y) => at(RIGHT + label * CELL + 10, y)).filter((grey) => grey === 120)
    .length;
}

test('the first 64 samples stand in a square, row after row', () => {
  const at = picture([10, 10]);
  for (const sample of [0, 7, 8, 63])
    assert.equal(at(10 + (sample % 8) * CELL, 10 + Math.floor(sample / 8) * CELL), sample);
});

test('bars are as high as the shares of their classes, up to twice the fair one', () => {
  const at = picture([5, 10, 15, 0]);
  const [low, middle, high, none] = [0, 1, 2, 3].map((label) => barHeight(at, label));
  assert.equal(none, 0);
  // Lines across the bars take a pixel or two each.
  assert.ok(Math.abs(middle - 2 * low) <= 4 && Math.abs(high - 3 * low) <= 4, `${low} ${middle} ${high}`);
  assert.ok(barHeight(picture([1, 99, 0, 0]), 1) <= barHeight(picture([25, 50, 25, 0]), 1));
});

test('the closest pair of a class stands in its column, the sample above the training image; others stay empty', () => {
  const at = picture([10, 10]);
  assert.deepEqual([at(RIGHT + CELL + 10, 6 * CELL + 10), at(RIGHT + CELL + 10, 7 * CELL + 10)], [5, 220]);
  assert.equal(at(RIGHT + 10, 6 * CELL + 10), 255);
});

test('of images in colour the picture is in colour, and the image under a bar is as it is', () => {
  const classes = { counts: [32, 32], chiSquared: 0, largestDeviation: 0 };
  const shape = { rows: SIZE, columns: SIZE, channels: 3 };
  const all = (count: number, pixel: readonly number[]): Images => ({
    images: Uint8Array.from({ length: count * 3 * SIZE * SIZE }, (_, v) => pixel[v % 3]),
    count,
    shape,
  });
  const bytes = evaluationPicture({
    evaluation: { samples: 64, classes: { samples: classes, floor: classes, ceiling: classes }, closestPairs: [] },
    samples: all(64, [10, 20, 30]),
    train: { ...all(2, [40, 50, 60]), labels: Uint8Array.of(1, 0) },
  });
  const { width, data } = PNG.sync.read(bytes);
  const at = (x: number, y: number): number[] => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3)];
  assert.deepEqual(at(10 + 7 * CELL, 10 + 7 * CELL), [10, 20, 30]);
  assert.deepEqual(at(RIGHT + 29, 6 * CELL - 14), [40, 50, 60]);
  assert.deepEqual(at(RIGHT + 10, 6 * CELL - 2 - SIZE - 5), [120, 120, 120]);
});

test('under each bar the first training image of the class says which it is, small and inverted', () => {
  const at = picture([10, 10]);
  assert.deepEqual([at(RIGHT + 29, 6 * CELL - 14), at(RIGHT + CELL + 29, 6 * CELL - 14)], [255 - 210, 255 - 200]);
});
