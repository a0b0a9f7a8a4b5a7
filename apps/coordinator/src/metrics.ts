/** What Prometheus sees of a run. Names are stable: dashboards and alerts depend on them. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { Beside, Evaluation } from '@lockstep/checkpoint';
import type { Note, State } from './state.js';

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
  private readonly loss = this.gauge('lockstep_loss', 'Mean loss of the last committed step');
  private readonly step = this.gauge('lockstep_step', 'Number of committed steps of the run');
  private readonly workers = this.gauge('lockstep_workers', 'Workers in the ring of this generation');
  private readonly connected = this.gauge('lockstep_connected_workers', 'Workers with an open control connection');
  private readonly generation = this.gauge('lockstep_generation', 'Number of the current generation');
  private readonly imagesPerSecond = this.gauge(
    'lockstep_images_per_second',
    'Training throughput, smoothed over recent steps',
  );
  private readonly checkpointStep = this.gauge(
    'lockstep_checkpoint_last_step',
    'Step of the newest published checkpoint',
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
  private readonly ringSeconds = this.gauge('lockstep_ring_seconds', "Time of the last step's all-reduce");
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
  private readonly reproducible = this.gauge('lockstep_reproducible', '1 while all workers are of one numerics class');
  private readonly refused = new Counter({
    name: 'lockstep_refused_workers_total',
    help: 'Workers refused or evicted for what they are or computed',
    labelNames: ['code'],
    registers: [this.registry],
  });
  private readonly microbatchSeconds = new Gauge({
    name: 'lockstep_worker_microbatch_seconds',
    help: 'Time that a worker takes for a microbatch, smoothed',
    labelNames: ['worker'],
    registers: [this.registry],
  });
  private readonly stragglers = new Gauge({
    name: 'lockstep_straggler',
    help: '1 for a worker that is much slower than the others',
    labelNames: ['worker'],
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

  constructor() {
    this.reproducible.set(1);
    collectDefaultMetrics({ register: this.registry });
  }

  /** Takes in a note; `stepSeconds` is the time since the previous commit (null for the first), `rate` in images a second. */
  record(note: Note, state: State, stepSeconds: number | null, rate: number): void {
    switch (note.note) {
      case 'committed':
        (note.redone ? this.redone : this.committed).inc();
        if (note.loss !== null) this.loss.set(note.loss);
        if (note.skipped) this.skipped.inc();
        this.ringSeconds.set(note.ringMilliseconds / 1000);
        this.ringBytes.inc(note.ringBytes);
        this.showWorkers(state);
        if (stepSeconds !== null) this.seconds.observe(stepSeconds);
        this.imagesPerSecond.set(rate);
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
      case 'published':
        this.checkpointStep.set(note.step);
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
    this.reproducible.set(state.reproducible ? 1 : 0);
    this.step.set(state.step);
    this.workers.set(state.ring.length);
    this.connected.set(state.workers.size);
    this.generation.set(state.generation);
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

  private showWorkers(state: State): void {
    this.microbatchSeconds.reset();
    this.stragglers.reset();
    for (const { id, speed, straggler } of state.workers.values()) {
      if (speed !== null) this.microbatchSeconds.set({ worker: id }, speed.milliseconds / 1000);
      this.stragglers.set({ worker: id }, straggler === null ? 0 : 1);
    }
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

function setBeside<T>(gauge: Gauge, figures: Beside<T>, valueOf: (figure: T) => number): void {
  gauge.set({ of: 'samples' }, valueOf(figures.samples));
  gauge.set({ of: 'floor' }, valueOf(figures.floor));
  gauge.set({ of: 'ceiling' }, valueOf(figures.ceiling));
}
