/** Short texts as pixels, to label the rows of a grid with: digits, letters (small ones as capitals), and what stands in names of folders. */

export const GLYPH_HEIGHT = 5;
const GLYPH_WIDTH = 3;
/** Columns from one character's first to the next one's. */
const ADVANCE = GLYPH_WIDTH + 1;

/** Five rows of three pixels a character; # is ink. */
const GLYPHS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries({
    ' ': '... ... ... ... ...',
    0: '### #.# #.# #.# ###',
    1: '.#. ##. .#. .#. ###',
    2: '### ..# ### #.. ###',
    3: '### ..# .## ..# ###',
    4: '#.# #.# ### ..# ..#',
    5: '### #.. ### ..# ###',
    6: '### #.. ### #.# ###',
    7: '### ..# .#. .#. .#.',
    8: '### #.# ### #.# ###',
    9: '### #.# ### ..# ###',
    A: '.#. #.# ### #.# #.#',
    B: '##. #.# ##. #.# ##.',
    C: '.## #.. #.. #.. .##',
    D: '##. #.# #.# #.# ##.',
    E: '### #.. ##. #.. ###',
    F: '### #.. ##. #.. #..',
    G: '.## #.. #.# #.# .##',
    H: '#.# #.# ### #.# #.#',
    I: '### .#. .#. .#. ###',
    J: '..# ..# ..# #.# .#.',
    K: '#.# #.# ##. #.# #.#',
    L: '#.. #.. #.. #.. ###',
    M: '#.# ### ### #.# #.#',
    N: '##. #.# #.# #.# #.#',
    O: '.#. #.# #.# #.# .#.',
    P: '##. #.# ##. #.. #..',
    Q: '.#. #.# #.# .#. ..#',
    R: '##. #.# ##. #.# #.#',
    S: '.## #.. .#. ..# ##.',
    T: '### .#. .#. .#. .#.',
    U: '#.# #.# #.# #.# ###',
    V: '#.# #.# #.# #.# .#.',
    W: '#.# #.# ### ### #.#',
    X: '#.# #.# .#. #.# #.#',
    Y: '#.# #.# .#. .#. .#.',
    Z: '### ..# .#. #.. ###',
    '-': '... ... ### ... ...',
    _: '... ... ... ... ###',
    '.': '... ... ... ... .#.',
    '+': '... .#. ### .#. ...',
    '/': '..# ..# .#. #.. #..',
    '(': '.#. #.. #.. #.. .#.',
    ')': '.#. ..# ..# ..# .#.',
  }).map(([character, rows]) => [character, rows.split(' ')]),
);

/** Whether every character has pixels. */
export function isDrawable(text: string): boolean {
  return Array.from(text).every((character) => GLYPHS.has(character.toUpperCase()));
}

/** Columns of a text's pixels. */
export function textWidth(text: string): number {
  return text.length * ADVANCE - 1;
}

/** Whether the pixel in this row, 0 .. GLYPH_HEIGHT-1, and column, 0 .. textWidth-1, is ink. A character without pixels has none. */
export function isInk(text: string, row: number, column: number): boolean {
  const rows = GLYPHS.get(text.charAt(Math.floor(column / ADVANCE)).toUpperCase());
  return rows?.[row]?.charAt(column % ADVANCE) === '#';
}
