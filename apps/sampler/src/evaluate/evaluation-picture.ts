/**
 * An evaluation as a picture. Left: the first 64 samples. Right, a column a class: how many samples are of it, as a bar, with lines at
 * the fair count and 20 % above and below; under it a training image of the class, small, to say which it is (grey ones inverted); then the
 * sample of the class that is nearest to a training image, and that image.
 */
import type { Evaluation } from '@lockstep/run';
import type { Images, LabelledImages } from '@lockstep/evaluation';
import { GREY, valuesOf } from '@lockstep/diffusion';
import { rasterPng, type Raster } from '../picture/raster.js';

const WHITE = 255;
const BAR = 120;
const FAIR_LINE = 0;
const TOLERANCE_LINE = 190;
/** Share of the fair count that the goal of the project allows to be missed. */
const TOLERANCE = 0.2;
/** Counts at and above this multiple of the fair one have bars of full height. */
const FULL_BAR = 2;
/** Samples a side of the square. */
const SIDE = 8;
/** Pixels between images. */
const GAP = 2;
/** Images are enlarged to about so many pixels a side. */
const ABOUT = 56;

export interface PictureTask {
  readonly evaluation: Pick<Evaluation, 'classes' | 'closestPairs' | 'samples'>;
  /** At least 64. */
  readonly samples: Images;
  readonly train: LabelledImages;
}

/** PNG bytes. */
export function evaluationPicture({ evaluation, samples, train }: PictureTask): Buffer {
  const { rows, columns } = samples.shape;
  const scale = Math.max(1, Math.round(ABOUT / Math.max(rows, columns)));
  const [cellWidth, cellHeight] = [columns * scale + GAP, rows * scale + GAP];
  const { counts } = evaluation.classes.samples;
  const right = SIDE * cellWidth + 4 * GAP;
  const canvas = new Canvas(right + counts.length * cellWidth + GAP, SIDE * cellHeight + GAP, samples.shape.channels);
  for (let i = 0; i < SIDE * SIDE; i++)
    canvas.image(samples, i, GAP + (i % SIDE) * cellWidth, GAP + Math.floor(i / SIDE) * cellHeight, scale);

  const floor = (SIDE - 2) * cellHeight - GAP - rows;
  const heightOf = (share: number): number => Math.round((Math.min(share, FULL_BAR) / FULL_BAR) * (floor - GAP));
  const margin = Math.floor((cellWidth - columns) / 2);
  const fair = evaluation.samples / counts.length;
  counts.forEach((count, label) => {
    const height = heightOf(count / fair);
    canvas.rectangle(right + label * cellWidth + GAP, floor - height, cellWidth - 3 * GAP, height, BAR);
    const named = train.labels.indexOf(label);
    if (named >= 0) canvas.image(labelling(train, named), 0, right + label * cellWidth + margin, floor, 1);
  });
  const width = counts.length * cellWidth;
  for (const share of [1 - TOLERANCE, 1 + TOLERANCE])
    canvas.rectangle(right, floor - heightOf(share), width, 1, TOLERANCE_LINE);
  canvas.rectangle(right, floor - heightOf(1), width, 1, FAIR_LINE);
  for (const { label, sample, trainingImage } of evaluation.closestPairs) {
    const left = right + label * cellWidth;
    canvas.image(samples, sample, left, GAP + (SIDE - 2) * cellHeight, scale);
    canvas.image(train, trainingImage, left, GAP + (SIDE - 1) * cellHeight, scale);
  }
  return rasterPng(canvas);
}

/** One image, on white: where a grey image has ink, that is white on black; one in colour stays as it is. */
function labelling({ images, shape }: Images, index: number): Pick<Images, 'images' | 'shape'> {
  const size = valuesOf(shape);
  const image = images.subarray(index * size, (index + 1) * size);
  return { shape, images: shape.channels === GREY ? image.map((byte) => WHITE - byte) : image };
}

/** Pixels that are drawn on; what lies outside is a mistake of the layout and throws. */
class Canvas implements Raster {
  readonly pixels: Buffer;

  constructor(
    readonly width: number,
    readonly height: number,
    readonly channels: number,
  ) {
    this.pixels = Buffer.alloc(width * height * channels, WHITE);
  }

  /** @param ink a grey, or a pixel */
  rectangle(left: number, top: number, width: number, height: number, ink: number | Uint8Array): void {
    if (left < 0 || top < 0 || left + width > this.width || top + height > this.height)
      throw new RangeError(`${width}x${height} at ${left},${top} is outside of ${this.width}x${this.height}`);
    for (let y = top; y < top + height; y++) {
      const start = (y * this.width + left) * this.channels;
      this.pixels.fill(ink, start, start + width * this.channels);
    }
  }

  image({ images, shape }: Omit<Images, 'count'>, index: number, left: number, top: number, scale: number): void {
    const { rows, columns, channels } = shape;
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const at = ((index * rows + y) * columns + x) * channels;
        const pixel = images.subarray(at, at + channels);
        this.rectangle(left + x * scale, top + y * scale, scale, scale, pixel);
      }
    }
  }
}
