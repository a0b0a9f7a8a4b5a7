/**
 * The shape of an image, the same for all images of a data set, of a network and of what it draws. Whatever needs to know how many
 * numbers an image has asks {@link valuesOf}. What is made for grey or for red, green and blue alone names GREY or COLOUR.
 */
export type ImageShape = {
  readonly rows: number;
  readonly columns: number;
  /** Numbers a pixel: 1 grey, 3 red, green and blue. They lie beside each other. */
  readonly channels: number;
};

export const GREY = 1;
export const COLOUR = 3;

/** Numbers that an image has. */
export function valuesOf({ rows, columns, channels }: ImageShape): number {
  return rows * columns * channels;
}

/** As a tensor of one image has it. */
export function dimensionsOf({ rows, columns, channels }: ImageShape): readonly [number, number, number] {
  return [rows, columns, channels];
}

/** Whether images of these two shapes can stand beside each other. */
export function isSameShape(a: ImageShape, b: ImageShape): boolean {
  return a.rows === b.rows && a.columns === b.columns && a.channels === b.channels;
}

/** For a line of text: `28x28`, width first, or `32x32 in colour`. */
export function shownShape({ rows, columns, channels }: ImageShape): string {
  const size = `${columns}x${rows}`;
  if (channels === GREY) return size;
  return channels === COLOUR ? `${size} in colour` : `${size} of ${channels} channels`;
}
