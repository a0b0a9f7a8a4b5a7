/**
 * Evaluates published checkpoints in a process of its own: at the lowest priority, one at a time, never waited for. A failure is told
 * and changes nothing.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { parseEvaluation, type Evaluation } from '@lockstep/run';
import { failureOf, type Failure } from '@lockstep/base';
import { CoordinatorError } from '../errors.js';
import type { EvaluationSummary } from '../status.js';

/** Half of what `lockstep eval` draws: an evaluation beside the training should end before the next one is due. */
const SAMPLES = 1000;
/** One that takes longer hangs, or the machine has no time for it. Milliseconds. */
const LIMIT_MS = 2 * 60 * 60 * 1000;
/** An evaluation is some kB of JSON; of what else the process says, the last lines are of interest. */
const MAX_OUTPUT = 1_000_000;
const KEPT_ERRORS = 4_000;

export interface EvaluatorSetting {
  /** Checkpoints of steps that this divides are evaluated. */
  readonly everySteps: number;
  /** Of the run; the process takes the newest checkpoint that it finds there. */
  readonly directory: string;
  /** Where the run's data is, if it is not where it was when the run began; else null. */
  readonly data: string | null;
  readonly device: 'cpu' | 'cuda';
  /** File of the process' program: apps/sampler's evaluate. */
  readonly module: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What becomes of an evaluation. */
export interface EvaluatorEvents {
  readonly onEvaluation: (evaluation: Evaluation) => void;
  /** E_EVALUATION_FAILED or E_EVALUATION_FORMAT. */
  readonly onFailure: (failure: Failure) => void;
}

export function summaryOf({ step, samples, frechetDistance, ...rest }: Evaluation): EvaluationSummary {
  return {
    step,
    samples,
    frechetDistance: frechetDistance.samples,
    frechetFloor: frechetDistance.floor,
    frechetCeiling: frechetDistance.ceiling,
    precision: rest.precision.samples,
    recall: rest.recall.samples,
    classDeviation: rest.classes.samples.largestDeviation,
  };
}

export class Evaluator {
  private child: ChildProcess | null = null;
  /** A checkpoint is due that was published while another was evaluated; of several the newest counts. */
  private waiting = false;
  private closed = false;

  constructor(
    private readonly setting: EvaluatorSetting,
    private readonly events: EvaluatorEvents,
  ) {}

  /** The checkpoint of this step is there. */
  published(step: number): void {
    if (step % this.setting.everySteps !== 0 || this.closed) return;
    if (this.child === null) this.start();
    else this.waiting = true;
  }

  /** Ends an evaluation under way; nothing is told any more. */
  close(): void {
    this.closed = true;
    this.child?.kill('SIGTERM');
  }

  private start(): void {
    const { module, directory, data, device, env } = this.setting;
    const where = data === null ? [] : [`--data=${data}`];
    const args = [directory, '--json', `--samples=${SAMPLES}`, '--workers=1', `--device=${device}`, ...where];
    // `nice` becomes the process that it starts, whose threads and children are then all of the lowest priority.
    const child = spawn('nice', ['-n', '19', process.execPath, module, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
    });
    this.child = child;
    let [output, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(0, MAX_OUTPUT);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-KEPT_ERRORS);
    });
    child.on('error', (error) => this.ended(child, () => failed(error.message)));
    child.on('close', (status, signal) =>
      this.ended(child, () =>
        status === 0 ? parseEvaluation(output) : failed(signal ?? `status ${status ?? '?'}`, errors),
      ),
    );
  }

  /** `resultOf` throws where there is none. */
  private ended(child: ChildProcess, resultOf: () => Evaluation): void {
    if (this.child !== child) return;
    this.child = null;
    if (this.closed) return;
    try {
      this.events.onEvaluation(resultOf());
    } catch (error) {
      this.events.onFailure(failureOf(error));
    }
    if (!this.waiting) return;
    this.waiting = false;
    this.start();
  }
}

/** @throws CoordinatorError E_EVALUATION_FAILED with the last line of what the process said */
function failed(how: string, said = ''): never {
  const last = said.trimEnd().split('\n').at(-1) ?? '';
  throw new CoordinatorError(
    'E_EVALUATION_FAILED',
    `the evaluation ended by ${how}${last === '' ? '' : `, saying: ${last}`}; try it by hand: lockstep eval`,
  );
}
