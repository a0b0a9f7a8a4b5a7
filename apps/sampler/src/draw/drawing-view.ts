/** Shows how far a drawing is, and what else there is to tell meanwhile, on standard error. */
import { canRedraw, TerminalLine } from '@lockstep/process';
import type { DrawProgress } from './draw.js';

/** On a terminal one line that is written over, below what is told; elsewhere a line for every tenth of the images. */
export class DrawingView {
  private terminal: TerminalLine | null = null;
  private said = 0;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  /** Bound, as the next one: both are handed on alone. */
  readonly progress = (progress: DrawProgress): void => {
    const { images, allImages } = progress;
    if (canRedraw(this.stream, this.env)) {
      this.terminal ??= new TerminalLine(this.stream);
      this.terminal.draw((columns) => drawingLine(progress, columns));
      if (images === allImages) this.close();
      return;
    }
    // Of a drawing before this one, there were more.
    if (images < this.said) this.said = 0;
    if (images - this.said < allImages / 10 && (images < allImages || images === this.said)) return;
    this.stream.write(`${drawingLine(progress, Infinity)}\n`);
    this.said = images;
  };

  readonly tell = (text: string): void => {
    if (this.terminal === null) this.stream.write(`${text}\n`);
    else this.terminal.print(text);
  };

  /** Leaves the line as it is, so that what is printed next stands below. */
  close(): void {
    this.terminal?.close();
    this.terminal = null;
  }
}

function drawingLine({ steps, allSteps, images, allImages }: DrawProgress, columns: number): string {
  const share = `${Math.floor((100 * steps) / allSteps)} %`;
  const long = `drawing: ${images} of ${allImages} images, ${share}`;
  return long.length <= columns ? long : `${images}/${allImages}, ${share}`.slice(0, columns);
}
