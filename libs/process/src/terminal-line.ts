/**
 * A line at the bottom of a terminal that is written over again and again (a progress bar), and texts above it, of which nothing
 * is cut: what is longer than a line is wrapped by the terminal, as all that is printed there.
 *
 * The line is always shorter than the terminal is wide, so that the cursor stays in it. When the terminal gets narrower, it wraps
 * the line that is drawn to several rows, as terminals do today; they are known from its length and taken away with the next
 * drawing. A terminal that cuts lines there (xterm) loses as many rows of text above it.
 */
import { isDumbTerminal } from '@lockstep/config';

/** Clear from the cursor to the end of the screen. */
const CLEAR_BELOW = '\u001b[J';
/** Where a terminal does not say how wide it is. */
const UNKNOWN_COLUMNS = 80;

export interface TerminalStream {
  write(text: string): unknown;
  readonly columns?: number;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** The longest text of at most so many characters, or a part of one. */
export type Fit = (columns: number) => string;

export class TerminalLine {
  /** How the line looks at a width; null while there is none. */
  private fit: Fit | null = null;
  /** What stands at the bottom of the screen. */
  private drawn = '';
  private readonly onResize = (): void => this.redraw('');

  constructor(private readonly stream: TerminalStream) {
    stream.on('resize', this.onResize);
  }

  /** Puts the line there, or another one in its place. */
  draw(fit: Fit): void {
    this.fit = fit;
    this.redraw('');
  }

  /** Prints a text above the line. */
  print(text: string): void {
    this.redraw(`${text}\n`);
  }

  /** Leaves the line as it is, and the cursor below it. */
  close(): void {
    this.stream.off('resize', this.onResize);
    if (this.drawn !== '') this.stream.write('\n');
    this.fit = null;
    this.drawn = '';
  }

  private redraw(above: string): void {
    const columns = columnsOf(this.stream);
    const before = this.drawn;
    this.drawn = this.fit === null ? '' : this.fit(columns - 1).slice(0, columns - 1);
    this.stream.write(`${eraser(before, columns)}${above}${this.drawn}`);
  }
}

/** Takes away what was drawn, from wherever the terminal has wrapped it to. */
function eraser(drawn: string, columns: number): string {
  if (drawn === '') return '';
  const rowsAbove = Math.ceil(drawn.length / columns) - 1;
  return `\r${rowsAbove > 0 ? `\u001b[${rowsAbove}A` : ''}${CLEAR_BELOW}`;
}

/** Of a stream's terminal; at least 2, so that there is a place for the cursor. */
export function columnsOf({ columns }: { readonly columns?: number }): number {
  return columns === undefined || columns === 0 ? UNKNOWN_COLUMNS : Math.max(2, columns);
}

/** Whether lines can be written over on this stream: a terminal that knows the codes for it. */
export function canRedraw(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !isDumbTerminal(env);
}
