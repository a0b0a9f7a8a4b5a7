/** What `lockstep up` shows: a progress bar on a terminal, plain lines elsewhere; events as lines in both. */
import { canRedraw, TerminalLine } from '@lockstep/process';
import { warningCode, type Note, type Status } from '@lockstep/coordinator';

/** A terminal is drawn on so often at most. Milliseconds. */
const DRAW_INTERVAL_MS = 100;
/** Without a terminal, one progress line in so many milliseconds at most, so that logs stay short. */
const PLAIN_INTERVAL_MS = 5_000;

export interface View {
  progress(status: Status): void;
  line(text: string): void;
  close(): void;
}

export interface ViewOptions {
  readonly stream: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicNow: () => number;
}

/** One line for a note that a person should see, with its code if it is a warning; null for those that the progress shows anyway. */
export function describeNote(note: Note): string | null {
  const text = wordsOf(note);
  const code = warningCode(note);
  return text === null || code === null || text.includes(code) ? text : `${code}: ${text}`;
}

function wordsOf(note: Note): string | null {
  switch (note.note) {
    case 'worker-ready':
      return `${note.worker} is ready with state ${note.step}`;
    case 'worker-lost':
      return `${note.worker} is lost: ${note.reason}`;
    case 'worker-refused':
      return `${note.worker} is refused: ${note.code}: ${note.reason}`;
    case 'worker-loaded':
      return `${note.worker} took state ${note.step} from ${note.source}: ${megabytes(note.bytes)} in ${note.milliseconds.toFixed(0)} ms`;
    case 'worker-admitted':
      return `${note.worker} computes other bits (${note.differs}) and takes part: the run is not reproducible from here on`;
    case 'straggler':
      return `${note.worker} is a straggler: ${note.reason}`;
    case 'straggler-over':
      return `${note.worker} is no straggler any more`;
    case 'non-finite':
      return `step ${note.step}: the gradient of microbatch ${note.microbatches.join(', ')} of ${note.workers.join(', ')} is not finite`;
    case 'kept':
      return note.failure === null
        ? `state ${note.step} is kept for lockstep replay`
        : `state ${note.step} could not be kept for lockstep replay: ${note.failure}`;
    case 'contested':
      return `step ${note.step}: the workers disagree: ${note.sides}`;
    case 'generation-opened':
      return `generation ${note.generation} at step ${note.step} with ${note.ring.join(', ')} (${note.reason})`;
    case 'waiting':
      return `waiting: ${note.reason}`;
    case 'ring-broken':
      return `${note.worker} lost the ring to ${note.peer ?? 'someone'}: ${note.reason}`;
    case 'published':
      return `checkpoint of step ${note.step} published, state ${note.digest.slice(0, 12)}`;
    case 'publish-failed':
      return `checkpoint of step ${note.step} failed: ${note.code}: ${note.reason}`;
    case 'evaluated':
      return (
        `samples of step ${note.step}: LeNet-FD ${note.frechetDistance.toFixed(1)} (real images ${note.frechetFloor.toFixed(1)}, ` +
        `noise ${note.frechetCeiling.toFixed(0)}), precision ${note.precision.toFixed(2)}, recall ${note.recall.toFixed(2)}`
      );
    case 'evaluation-failed':
      return `the evaluation of a checkpoint failed: ${note.code}: ${note.reason}`;
    case 'rolled-back':
      return `from step ${note.from} back to ${note.to}: ${note.reason}`;
    case 'over':
      return note.outcome.kind === 'failed'
        ? `failed: ${note.outcome.code}: ${note.outcome.reason}`
        : `${note.outcome.kind}: ${note.outcome.reason}`;
    case 'worker-joined':
    case 'reduce-started':
    case 'committed':
    case 'work-moved':
    case 'audited':
    case 'dropped':
      return null;
    default:
      return note satisfies never;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** 75 -> "1m15s". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (hours > 0) return `${hours}h${String(minutes).padStart(2, '0')}m`;
  return minutes > 0 ? `${minutes}m${String(whole % 60).padStart(2, '0')}s` : `${whole}s`;
}

/** `accuracy 0.9813`, for each figure that the task measures beside its loss. */
export function figureTexts(figures: Status['figures']): string[] {
  return Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(4)}`);
}

function partsOf(status: Status): { loss: string; rate: string; workers: string; eta: string } {
  return {
    loss: [`loss ${status.loss === null ? '-' : status.loss.toFixed(4)}`, ...figureTexts(status.figures)].join(' '),
    rate: status.imagesPerSecond === 0 ? '-' : status.imagesPerSecond.toFixed(0),
    workers: String(status.workers.filter((worker) => worker.inRing).length),
    eta: status.etaSeconds === null ? '-' : duration(status.etaSeconds),
  };
}

/** Cells of the bar at most. */
const BAR_CELLS = 24;
/** A bar of fewer cells says too little for its room. */
const MIN_BAR_CELLS = 8;
const GAP = '  ';

/**
 * The progress in one line of at most `columns` characters: the step first of all, then what there is room for, in the order of its
 * weight, and a bar in the room that is left.
 */
export function progressLine(status: Status, columns: number): string {
  const { loss, rate, workers, eta } = partsOf(status);
  const head = `step ${status.step}/${status.steps}`;
  const parts = [loss, `${rate} samples/s`, `${workers} workers`, `ETA ${eta}`];
  const shown = new Set<string>();
  let room = columns - head.length;
  for (const part of [parts[3], parts[0], parts[1], parts[2]]) {
    if (part.length + GAP.length > room) break;
    shown.add(part);
    room -= part.length + GAP.length;
  }
  const cells = Math.min(BAR_CELLS, room - 3);
  const done = Math.floor((cells * status.step) / status.steps);
  const bar = cells < MIN_BAR_CELLS ? '' : ` [${'='.repeat(done)}${'-'.repeat(cells - done)}]`;
  return [`${head}${bar}`, ...parts.filter((part) => shown.has(part))].join(GAP).slice(0, columns);
}

class TerminalView implements View {
  private readonly terminal: TerminalLine;
  private readonly monotonicNow: () => number;
  private status: Status | null = null;
  private drawnAt = -Infinity;

  constructor({ stream, monotonicNow }: ViewOptions) {
    this.terminal = new TerminalLine(stream);
    this.monotonicNow = monotonicNow;
  }

  progress(status: Status): void {
    this.status = status;
    if (this.monotonicNow() - this.drawnAt >= DRAW_INTERVAL_MS) this.draw();
  }

  line(text: string): void {
    this.terminal.print(text);
  }

  close(): void {
    this.draw();
    this.terminal.close();
  }

  private draw(): void {
    const { status } = this;
    if (status === null) return;
    this.drawnAt = this.monotonicNow();
    this.terminal.draw((columns) => progressLine(status, columns));
  }
}

class PlainView implements View {
  private last = -Infinity;

  private readonly stream: NodeJS.WritableStream;
  private readonly monotonicNow: () => number;

  constructor({ stream, monotonicNow }: ViewOptions) {
    this.stream = stream;
    this.monotonicNow = monotonicNow;
  }

  progress(status: Status): void {
    const final = status.step === status.steps;
    if (!final && this.monotonicNow() - this.last < PLAIN_INTERVAL_MS) return;
    this.last = this.monotonicNow();
    const { loss, rate, workers, eta } = partsOf(status);
    this.line(`step ${status.step}/${status.steps} ${loss} ${rate} samples/s ${workers} workers ETA ${eta}`);
  }

  line(text: string): void {
    this.stream.write(`${text}\n`);
  }

  close(): void {
    // Nothing is drawn that would have to be taken away.
  }
}

/** A view for this output stream. */
export function makeView(options: ViewOptions): View {
  return canRedraw(options.stream, options.env) ? new TerminalView(options) : new PlainView(options);
}
