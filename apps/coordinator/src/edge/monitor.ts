/** How the run goes, for people and their tools: notes become metrics, reports, a status, a timeline; checkpoints are evaluated. */
import type { Trace } from '@lockstep/run';
import type { Clocks, WallMs } from '../decide/clocks.js';
import type { Figures, Note, Settings, State } from '../decide/state.js';
import { Evaluator, summaryOf, type EvaluatorSetting } from './evaluator.js';
import { Metrics } from './metrics.js';
import type { Watcher } from './ports.js';
import type { EvaluationSummary, Status } from '../status.js';
import { afterCommit, afterOpening, etaSeconds, imagesPerSecond, noProgress, type Progress } from './progress.js';

/** Phases as a timeline calls them: a step's two, from ready workers to its commit. */
const PHASE_NAMES: Readonly<Partial<Record<State['phase']['kind'], string>>> = {
  computing: 'gradients',
  reducing: 'reduce to commit',
};

/** A note with the run's progress at that moment, for logs and progress bars. */
export interface Report {
  /** For people: when that was. */
  readonly at: WallMs;
  readonly note: Note;
  readonly status: Status;
}

export interface MonitorOptions {
  readonly settings: Settings;
  readonly globalBatch: number;
  readonly clocks: Clocks;
  readonly report: (report: Report) => void;
  readonly trace: Trace;
  /** Null: checkpoints are not evaluated. */
  readonly evaluator: EvaluatorSetting | null;
}

export class Monitor implements Watcher {
  private readonly metrics: Metrics;
  private readonly evaluator: Evaluator | null;
  private progress: Progress = noProgress;
  private loss: number | null = null;
  private figures: Figures = {};
  private evaluation: EvaluationSummary | null = null;

  constructor(
    private readonly options: MonitorOptions,
    private readonly state: () => State,
  ) {
    this.metrics = new Metrics(() => ({
      state: state(),
      imagesPerSecond: this.imagesPerSecond(),
    }));
    const { evaluator } = options;
    this.evaluator =
      evaluator === null
        ? null
        : new Evaluator(evaluator, {
            onEvaluation: (evaluation) => {
              this.metrics.evaluated(evaluation);
              this.evaluation = summaryOf(evaluation);
              this.told({ note: 'evaluated', ...this.evaluation });
            },
            onFailure: ({ code, message }) => this.told({ note: 'evaluation-failed', code, reason: message }),
          });
  }

  decided({ phase: { kind }, step }: State): void {
    this.options.trace.stage(PHASE_NAMES[kind] ?? kind, { step });
  }

  told(note: Note): void {
    const { clocks } = this.options;
    if (note.note === 'committed') {
      this.progress = afterCommit(this.progress, clocks.monotonicNow());
      this.loss = note.loss ?? this.loss;
      this.figures = note.figures;
    } else if (note.note === 'generation-opened') {
      this.progress = afterOpening(this.progress, clocks.monotonicNow());
    } else if (note.note === 'waiting' || note.note === 'over') {
      this.progress = noProgress;
    }
    this.metrics.record(note, this.progress.stepSeconds);
    this.options.report({ at: clocks.wallNow(), note, status: this.status() });
    if (note.note === 'published') this.evaluator?.published(note.step);
  }

  ending(): void {
    this.evaluator?.close();
  }

  /** As Prometheus reads them. */
  async metricsText(): Promise<{ readonly type: string; readonly text: string }> {
    const { registry } = this.metrics;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  status(): Status {
    const state = this.state();
    const { settings } = this.options;
    const { phase } = state;
    const work = phase.kind === 'computing' ? phase.work : phase.kind === 'reducing' ? phase.next : null;
    return {
      run: settings.run,
      phase: phase.kind,
      step: state.step,
      steps: settings.steps,
      generation: state.generation,
      workers: [...state.workers.values()].map(({ id, host, have, speed, straggler }) => ({
        id,
        host,
        inRing: phase.kind !== 'over' && state.ranks.has(id),
        step: have?.step ?? null,
        millisecondsPerMicrobatch: speed?.milliseconds ?? null,
        share: work?.queues.get(id)?.length ?? 0,
        cpuShare: speed?.cpuShare ?? null,
        straggler,
      })),
      loss: this.loss,
      figures: this.figures,
      imagesPerSecond: this.imagesPerSecond(),
      etaSeconds: this.etaSeconds(),
      checkpoint: state.checkpoint?.step ?? null,
      reproducible: state.reproducible,
      evaluation: this.evaluation,
    };
  }

  /** 0 while nobody does a step. */
  private imagesPerSecond(): number {
    const { clocks, globalBatch } = this.options;
    return imagesPerSecond(this.progress, clocks.monotonicNow(), globalBatch);
  }

  /** Null while that is unknown, or the run does not go on to its last step. */
  private etaSeconds(): number | null {
    const { clocks, settings } = this.options;
    const { phase, step } = this.state();
    const remaining = settings.steps - step;
    if (remaining > 0 && phase.kind === 'finishing') return null;
    return etaSeconds(this.progress, clocks.monotonicNow(), remaining);
  }
}
