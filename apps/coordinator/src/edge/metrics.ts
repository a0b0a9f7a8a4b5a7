/**
 * What Prometheus sees of a run. Names are stable: dashboards and alerts depend on them.
 *
 * What happened is counted when it happens. What is, such as a rate or a worker's speed, is read when it is asked for: so nothing
 * is shown of workers that left, and no last value of what has stopped.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Beside, Evaluation } from '@lockstep/run';
import type { Figures, Note, State, WorkerView } from '../decide/state.js';

/** What is, at the moment of asking. */
export interface Live {
  readonly state: State;
  readonly imagesPerSecond: number;
}

export class Metrics {
  readonly registry = new Registry();
  private readonly committed = this.counter(
    'lockstep_committed_steps_total',
    'Steps committed by this coordinator process',
  );
  private readonly redone = this.counter(
    'lockstep_redone_steps_total',
    'Steps done again after a roll-back, with equal digests',
  );
  private readonly checkpointFailures = this.counter(
    'lockstep_checkpoint_failures_total',
    'Checkpoints that could not be published',
  );
  private readonly lost = this.counter('lockstep_lost_workers_total', 'Workers lost or evicted');
  private readonly brokenRings = this.counter('lockstep_broken_rings_total', 'Reports of a broken ring');
  private readonly seconds = new Histogram({
    name: 'lockstep_step_duration_seconds',
    help: 'Time between two commits',
    buckets: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
    registers: [this.registry],
  });
  private readonly dropped = new Counter({
    name: 'lockstep_dropped_messages_total',
    help: 'Control messages of an older generation, dropped',
    labelNames: ['type'],
    registers: [this.registry],
  });

  private readonly skipped = this.counter('lockstep_skipped_steps_total', 'Steps skipped as a gradient was not finite');
  private readonly ringBytes = this.counter('lockstep_ring_bytes_total', 'Bytes that one worker sent into the ring');
  private readonly loadedBytes = this.counter(
    'lockstep_state_transfer_bytes_total',
    'Bytes of states taken from peers',
  );
  private readonly loadSeconds = new Histogram({
    name: 'lockstep_state_transfer_seconds',
    help: 'Time in which a worker took the state from a peer',
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60],
    registers: [this.registry],
  });
  private readonly moved = this.counter(
    'lockstep_moved_microbatches_total',
    'Microbatches that an idle worker took over',
  );
  private readonly audited = this.counter(
    'lockstep_audited_microbatches_total',
    'Microbatches with equal bits from two workers',
  );
  private readonly refused = new Counter({
    name: 'lockstep_refused_workers_total',
    help: 'Workers refused or evicted for what they are or computed',
    labelNames: ['code'],
    registers: [this.registry],
  });

  private readonly evalStep = this.gauge('lockstep_eval_step', 'Step of the last evaluated checkpoint');
  private readonly evalFrechet = this.figure('lockstep_eval_frechet_distance', 'LeNet-FD to the training set');
  private readonly evalPrecision = this.figure('lockstep_eval_precision', 'Share of images that look real');
  private readonly evalRecall = this.figure('lockstep_eval_recall', 'Share of real images that could be drawn');
  private readonly evalCoverage = this.figure(
    'lockstep_eval_coverage',
    'Share of real images beside which one was drawn',
  );
  private readonly evalDeviation = this.figure(
    'lockstep_eval_class_deviation',
    'Largest deviation of a class from its fair share, 0.2: 20 %',
  );
  private readonly evalDistance = this.figure(
    'lockstep_eval_training_distance',
    'Median distance to the nearest training image',
  );
  private readonly evalNoiseError = new Gauge({
    name: 'lockstep_eval_noise_error',
    help: 'Mean squared error of the predicted noise, by quarter of 1..T',
    labelNames: ['of', 'quarter'],
    registers: [this.registry],
  });
  private readonly evalFailures = this.counter('lockstep_eval_failures_total', 'Evaluations without a result');

  /** Mean loss of the last step of this process; null before the first. */
  private lastLoss: number | null = null;
  /** Of the last step: what is not known of it is not shown of an older one. */
  private lastFigures: Figures = {};

  constructor(private readonly live: () => Live) {
    this.shown('lockstep_loss', 'Mean loss of the last committed step', () => this.lastLoss);
    this.shown('lockstep_step', 'Number of committed steps of the run', ({ state }) => state.step);
    this.shown('lockstep_workers', 'Workers in the ring of this generation', ({ state }) => workersAtWork(state));
    this.shown(
      'lockstep_connected_workers',
      'Workers with an open control connection',
      ({ state }) => state.workers.size,
    );
    this.shown('lockstep_generation', 'Number of the current generation', ({ state }) => state.generation);
    this.shown(
      'lockstep_images_per_second',
      'Training throughput, smoothed over recent steps',
      (now) => now.imagesPerSecond,
    );
    this.shown(
      'lockstep_checkpoint_last_step',
      'Step of the newest published checkpoint',
      ({ state }) => state.checkpoint?.step ?? 0,
    );
    this.shown(
      'lockstep_ring_seconds',
      "Time of the last step's all-reduce, by the worker that reported last; next to nothing where it sent nothing",
      ({ state }) => (workersAtWork(state) === 0 ? null : state.lastRing.ringMilliseconds / 1000),
    );
    this.shown('lockstep_reproducible', '1 while all workers are of one numerics class', ({ state }) =>
      state.reproducible ? 1 : 0,
    );
    this.shownByName(
      'lockstep_figure',
      'What the task measures beside the loss: mean of the last committed step',
      'name',
      () => Object.entries(this.lastFigures),
    );
    this.shownOfWorkers(
      'lockstep_worker_microbatch_seconds',
      'Time that a worker takes for a microbatch, smoothed',
      ({ speed }) => (speed === null ? null : speed.milliseconds / 1000),
    );
    this.shownOfWorkers('lockstep_straggler', '1 for a worker that is much slower than the others', ({ straggler }) =>
      straggler === null ? 0 : 1,
    );
    collectDefaultMetrics({ register: this.registry });
  }

  /** Counts a note; `stepSeconds` is the time between the last two commits, null where that was not the time of a step. */
  record(note: Note, stepSeconds: number | null): void {
    switch (note.note) {
      case 'committed':
        (note.redone ? this.redone : this.committed).inc();
        this.lastLoss = note.loss ?? this.lastLoss;
        this.lastFigures = note.figures;
        if (note.skipped) this.skipped.inc();
        this.ringBytes.inc(note.ringBytes);
        if (stepSeconds !== null) this.seconds.observe(stepSeconds);
        break;
      case 'dropped':
        this.dropped.inc({ type: note.type });
        break;
      case 'worker-lost':
        this.lost.inc();
        break;
      case 'ring-broken':
        this.brokenRings.inc();
        break;
      case 'publish-failed':
        this.checkpointFailures.inc();
        break;
      case 'worker-loaded':
        this.loadedBytes.inc(note.bytes);
        this.loadSeconds.observe(note.milliseconds / 1000);
        break;
      case 'work-moved':
        this.moved.inc();
        break;
      case 'audited':
        this.audited.inc();
        break;
      case 'evaluation-failed':
        this.evalFailures.inc();
        break;
      case 'worker-refused':
        this.refused.inc({ code: note.code });
        break;
      default:
        break;
    }
  }

  /** Takes in what was found of a checkpoint's samples: each figure with its floor (real images) and ceiling (noise). */
  evaluated(evaluation: Evaluation): void {
    const { classes, trainingDistance, noiseError } = evaluation;
    this.evalStep.set(evaluation.step);
    setBeside(this.evalFrechet, evaluation.frechetDistance, (distance) => distance);
    setBeside(this.evalPrecision, evaluation.precision, (share) => share);
    setBeside(this.evalRecall, evaluation.recall, (share) => share);
    setBeside(this.evalCoverage, evaluation.coverage, (share) => share);
    setBeside(this.evalDeviation, classes, ({ largestDeviation }) => largestDeviation);
    setBeside(this.evalDistance, trainingDistance, ({ median }) => median);
    for (const [of, errors] of Object.entries(noiseError))
      errors.forEach((error, i) => this.evalNoiseError.set({ of, quarter: i + 1 }, error));
  }

  /** A gauge that is read when it is asked for; where there is no value there is no series. */
  private shown(name: string, help: string, valueOf: (live: Live) => number | null): void {
    const { live } = this;
    const gauge = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        const value = valueOf(live());
        if (value === null) this.remove();
        else this.set(value);
      },
    });
    this.registry.registerMetric(gauge);
  }

  /** The same of several things, by their names. */
  private shownByName(
    name: string,
    help: string,
    label: string,
    valuesOf: (live: Live) => readonly (readonly [string, number])[],
  ): void {
    const { live } = this;
    const gauge = new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [],
      collect() {
        this.reset();
        for (const [of, value] of valuesOf(live())) this.set({ [label]: of }, value);
      },
    });
    this.registry.registerMetric(gauge);
  }

  private shownOfWorkers(name: string, help: string, valueOf: (worker: WorkerView) => number | null): void {
    this.shownByName(name, help, 'worker', ({ state }) =>
      [...state.workers.values()].flatMap((worker): [string, number][] => {
        const value = valueOf(worker);
        return value === null ? [] : [[worker.id, value]];
      }),
    );
  }

  private gauge(name: string, help: string): Gauge {
    return new Gauge({ name, help, registers: [this.registry] });
  }

  /** A figure of samples, floor and ceiling. */
  private figure(name: string, help: string): Gauge {
    return new Gauge({ name, help, labelNames: ['of'], registers: [this.registry] });
  }

  private counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
  }
}

/** Workers of the ring that are still there; none when the run is over. */
function workersAtWork({ phase, ring, workers }: State): number {
  return phase.kind === 'over' ? 0 : ring.filter((id) => workers.has(id)).length;
}

function setBeside<T>(gauge: Gauge, figures: Beside<T>, valueOf: (figure: T) => number): void {
  gauge.set({ of: 'samples' }, valueOf(figures.samples));
  gauge.set({ of: 'floor' }, valueOf(figures.floor));
  gauge.set({ of: 'ceiling' }, valueOf(figures.ceiling));
}
