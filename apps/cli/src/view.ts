/** What `lockstep up` shows: a progress bar on a terminal, plain lines elsewhere; events as lines in both. */
import { MultiBar, type SingleBar } from 'cli-progress';
import type { Note, Status } from '@lockstep/coordinator';

/** Without a terminal, one progress line in so many milliseconds at most, so that logs stay short. */
const PLAIN_INTERVAL_MS = 5_000;

export interface View {
  progress(status: Status): void;
  line(text: string): void;
  close(): void;
}

/** One line for a note that a person should see, or null for those that the progress shows anyway. */
export function describeNote(note: Note): string | null {
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

function figures(status: Status): { loss: string; rate: string; workers: string; eta: string } {
  return {
    loss: status.loss === null ? '-' : status.loss.toFixed(4),
    rate: status.imagesPerSecond === 0 ? '-' : status.imagesPerSecond.toFixed(0),
    workers: String(status.workers.filter((worker) => worker.inRing).length),
    eta: status.etaSeconds === null ? '-' : duration(status.etaSeconds),
  };
}

class TerminalView implements View {
  private readonly bars: MultiBar;
  private bar: SingleBar | null = null;

  constructor(stream: NodeJS.WriteStream) {
    this.bars = new MultiBar({
      stream,
      format: 'step {value}/{total} [{bar}] loss {loss}  {rate} images/s  {workers} workers  ETA {left}',
      barsize: 24,
      hideCursor: true,
      stopOnComplete: false,
    });
  }

  progress(status: Status): void {
    const { loss, rate, workers, eta } = figures(status);
    const payload = { loss, rate, workers, left: eta };
    if (this.bar === null) this.bar = this.bars.create(status.steps, status.step, payload);
    else this.bar.update(status.step, payload);
  }

  line(text: string): void {
    this.bars.log(`${text}\n`);
    if (this.bar === null) this.bars.update();
  }

  close(): void {
    this.bars.stop();
  }
}

class PlainView implements View {
  private last = -Infinity;

  constructor(
    private readonly stream: NodeJS.WritableStream,
    private readonly monotonicNow: () => number,
  ) {}

  progress(status: Status): void {
    const final = status.step === status.steps;
    if (!final && this.monotonicNow() - this.last < PLAIN_INTERVAL_MS) return;
    this.last = this.monotonicNow();
    const { loss, rate, workers, eta } = figures(status);
    this.line(`step ${status.step}/${status.steps} loss ${loss} ${rate} images/s ${workers} workers ETA ${eta}`);
  }

  line(text: string): void {
    this.stream.write(`${text}\n`);
  }

  close(): void {
    // Nothing is drawn that would have to be taken away.
  }
}

/** A view for this output stream. `monotonicNow`: ms of a clock that never goes back. */
export function makeView(stream: NodeJS.WriteStream, monotonicNow: () => number): View {
  return stream.isTTY ? new TerminalView(stream) : new PlainView(stream, monotonicNow);
}
