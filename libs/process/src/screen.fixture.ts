const ESCAPE = '\u001b';

/** A terminal's screen as far as a TerminalLine uses it: rows that wrap at its width, and are wrapped anew when that changes. */
export class Screen {
  columns: number;
  readonly isTTY = true;
  /** Characters of each row; `continued`: the next row goes on with the same line. */
  private rows: { text: string; continued: boolean }[] = [{ text: '', continued: false }];
  private row = 0;
  private column = 0;
  private readonly listeners = new Set<() => void>();
  /** What is written, in characters and in codes of the two kinds that there are. */
  private readonly parts = new RegExp(`${ESCAPE}\\[(\\d+)A|${ESCAPE}\\[J|[^]`, 'g');

  constructor(columns: number) {
    this.columns = columns;
  }

  on(_: 'resize', listener: () => void): this {
    this.listeners.add(listener);
    return this;
  }

  off(_: 'resize', listener: () => void): this {
    this.listeners.delete(listener);
    return this;
  }

  get watched(): boolean {
    return this.listeners.size > 0;
  }

  write(text: string): boolean {
    for (const [part, rowsUp] of text.matchAll(this.parts)) this.take(part, rowsUp);
    return true;
  }

  /** As a terminal does: the cursor stays behind the same character. */
  resize(columns: number): void {
    const lines: string[] = [];
    let [line, offset] = [0, 0];
    let open = '';
    this.rows.forEach(({ text, continued }, index) => {
      if (index === this.row) [line, offset] = [lines.length, open.length + this.column];
      open += text;
      if (continued) return;
      lines.push(open);
      open = '';
    });
    this.columns = columns;
    this.rows = [];
    lines.forEach((text, index) => {
      if (index === line) [this.row, this.column] = [this.rows.length + Math.floor(offset / columns), offset % columns];
      const parts = text.match(new RegExp(`.{1,${columns}}`, 'g')) ?? [''];
      parts.forEach((part, place) => this.rows.push({ text: part, continued: place + 1 < parts.length }));
    });
    for (const listener of this.listeners) listener();
  }

  /** The lines on it, each whole however it is wrapped. */
  lines(): string[] {
    const text = this.rows.map((row) => row.text + (row.continued ? '' : '\n')).join('');
    return text.replace(/\n+$/, '').split('\n');
  }

  /** The longest row. */
  width(): number {
    return Math.max(...this.rows.map(({ text }) => text.length));
  }

  private take(part: string, rowsUp: string | undefined): void {
    if (rowsUp !== undefined) this.row = Math.max(0, this.row - Number(rowsUp));
    else if (part === '\u001b[J') {
      this.rows.length = this.row + 1;
      this.rows[this.row] = { text: this.rows[this.row].text.slice(0, this.column), continued: false };
    } else if (part === '\r') this.column = 0;
    else if (part === '\n') this.next(false);
    else {
      if (this.column === this.columns) this.next(true);
      const { text, continued } = this.rows[this.row];
      this.rows[this.row] = {
        text: text.slice(0, this.column).padEnd(this.column) + part + text.slice(this.column + 1),
        continued,
      };
      this.column++;
    }
  }

  private next(continued: boolean): void {
    this.rows[this.row] = { text: this.rows[this.row].text, continued };
    this.row++;
    this.column = 0;
    if (this.row === this.rows.length) this.rows.push({ text: '', continued: false });
  }
}
