/** Numbers as pixels, to label the rows of a grid with. */

/** Three by five pixels a digit, a row a group of bits, the leftmost first. */
const GLYPHS = [
  [0b111, 0b101, 0b101, 0b101, 0b111],
  [0b010, 0b110, 0b010, 0b010, 0b111],
  [0b111, 0b001, 0b111, 0b100, 0b111],
  [0b111, 0b001, 0b011, 0b001, 0b111],
  [0b101, 0b101, 0b111, 0b001, 0b001],
  [0b111, 0b100, 0b111, 0b001, 0b111],
  [0b111, 0b100, 0b111, 0b101, 0b111],
  [0b111, 0b001, 0b010, 0b010, 0b010],
  [0b111, 0b101, 0b111, 0b101, 0b111],
  [0b111, 0b101, 0b111, 0b001, 0b111],
] as const;

export const GLYPH_HEIGHT = 5;
const GLYPH_WIDTH = 3;
/** Columns from one digit's first to the next one's. */
const ADVANCE = GLYPH_WIDTH + 1;

/** Columns of a number's pixels. */
export function numberWidth(number: number): number {
  return String(number).length * ADVANCE - 1;
}

/** Whether the pixel in this row, 0 .. GLYPH_HEIGHT-1, and column, 0 .. numberWidth-1, is ink. */
export function isInk(number: number, row: number, column: number): boolean {
  const digit = Number(String(number)[Math.floor(column / ADVANCE)]);
  const bit = GLYPH_WIDTH - 1 - (column % ADVANCE);
  return bit >= 0 && ((GLYPHS[digit]?.[row] ?? 0) & (1 << bit)) !== 0;
}
