/** Training data as all of Lockstep sees it, wherever it comes from (data-source.ts). */
import { createHash } from 'node:crypto';

import { DiffusionError } from '../errors.js';
import { COLOUR, GREY, isSameShape, shownShape } from './image-shape.js';
import type { ImageShape } from './image-shape.js';

export type Split = 'train' | 'test';

/** Images of bytes, 0 black to 255 white (of MNIST: background to ink). */
export type Dataset = {
  /** Image after image, row after row, pixel after pixel; of a pixel in colour red, green and blue. */
  readonly images: Uint8Array;
  /** [count] class of each image, from 0 */
  readonly labels: Uint8Array;
  readonly count: number;
  readonly shape: ImageShape;
  /** Names the data in a run's config, see {@link datasetDigest}. */
  readonly digest: string;
  /** [classes] what each class is called where the data comes from: a folder's name, else its number. The digest knows nothing of them. */
  readonly classNames: readonly string[];
};

/** Class names that a line of text lists; more would hide what follows. */
const SHOWN_CLASSES = 20;

/** What a model asks of its data. */
export type DataNeeds = {
  readonly shape: ImageShape;
  /** Labels must be below it; null: labels are not looked at. */
  readonly classes: number | null;
};

/** An IDX file's header: two zero bytes, 8 for unsigned bytes, the number of dimensions, and each as a big-endian u32. */
export function idxHeader(dimensions: readonly number[]): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 + 4 * dimensions.length));
  header.setUint8(2, 8);
  header.setUint8(3, dimensions.length);
  dimensions.forEach((extent, i) => header.setUint32(4 + 4 * i, extent));
  return new Uint8Array(header.buffer);
}

/**
 * sha256 (hex) over the sha256 (hex) of the images and of the labels, each as the IDX file that holds them: of grey images three
 * dimensions, of others four. So data has one digest however it is stored.
 */
export function datasetDigest({ images, labels, count, shape }: Omit<Dataset, 'digest' | 'classNames'>): string {
  const { rows, columns, channels } = shape;
  const dimensions = channels === GREY ? [count, rows, columns] : [count, rows, columns, channels];
  const file = (extents: readonly number[], data: Uint8Array): string =>
    createHash('sha256').update(idxHeader(extents)).update(data).digest('hex');
  const digests = [file(dimensions, images), file([count], labels)];
  return createHash('sha256').update(digests.join('')).digest('hex');
}

/** Names of classes that have none but their numbers: 0 up to the largest label. */
export function numberNames(labels: Uint8Array): string[] {
  const classes = labels.reduce((most, label) => Math.max(most, label + 1), 0);
  return Array.from({ length: classes }, (_, label) => String(label));
}

/** A class's name for a line of text: one with spaces or stranger things in it is quoted, so that one sees where it ends. */
export function shownName(name: string): string {
  return /^[\p{L}\p{N}._-]+$/u.test(name) ? name : JSON.stringify(name);
}

/** The first of so many class names, and how many there are beside them. */
export function shownNames(names: readonly string[]): string {
  const more = names.length > SHOWN_CLASSES ? ` and ${names.length - SHOWN_CLASSES} more` : '';
  return names.slice(0, SHOWN_CLASSES).map(shownName).join(' ') + more;
}

/** What was read, in one line: `60000 images of 28x28, 10 classes (0 1 2 3 4 5 6 7 8 9)`. */
export function describeDataset({ count, shape, classNames }: Pick<Dataset, 'count' | 'shape' | 'classNames'>): string {
  const [images, classes] = [count === 1 ? 'image' : 'images', classNames.length === 1 ? 'class' : 'classes'];
  return `${count} ${images} of ${shownShape(shape)}, ${classNames.length} ${classes} (${shownNames(classNames)})`;
}

/**
 * Checks that a model can be trained on the data.
 *
 * @throws E_DATA_SIZE if its images are not the model's, E_DATA_LABEL if a label is not below `classes`
 */
export function checkDataset(
  { shape, labels }: Pick<Dataset, 'shape' | 'labels'>,
  { shape: wanted, classes }: DataNeeds,
): void {
  if (!isSameShape(shape, wanted)) {
    throw new DiffusionError(
      'E_DATA_SIZE',
      `the images are ${shownShape(shape)}, those of the network ${shownShape(wanted)}: convert them beforehand (nothing is ` +
        'resized here), or train a new network on them',
    );
  }
  const at = classes === null ? -1 : labels.findIndex((label) => label >= classes);
  if (at >= 0) {
    throw new DiffusionError(
      'E_DATA_LABEL',
      `image ${at} has label ${labels[at]}, the model has classes 0 to ${(classes ?? 0) - 1}: correct the labels, or leave --classes out`,
    );
  }
}

/**
 * The data set with grey images: what is in colour becomes grey by the luma of ITU-R 601 in PIL's integers, as Image.convert('L') and
 * torchvision's Grayscale have it. Grey that was stored as colour keeps its bytes.
 */
export function inGrey(dataset: Dataset): Dataset {
  const { images, shape } = dataset;
  if (shape.channels === GREY) return dataset;
  const grey = new Uint8Array(images.length / COLOUR);
  for (let p = 0, at = 0; p < grey.length; p++, at += COLOUR) {
    grey[p] = (19595 * images[at] + 38470 * images[at + 1] + 7471 * images[at + 2] + 32768) >> 16;
  }
  const data = { ...dataset, images: grey, shape: { ...shape, channels: GREY } };
  return { ...data, digest: datasetDigest(data) };
}
