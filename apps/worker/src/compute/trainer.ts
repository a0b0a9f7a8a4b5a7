/**
 * The numbers of a training step that need the engine or change the state: gradient of a microbatch, update. Every result is
 * a pure function of (state, seed, step, microbatch); which worker computes it does not enter.
 */
import { NO_TRACE, type Trace } from '@lockstep/run';
import type { Compiled, Engine } from '@lockstep/engine';
import {
  compileGradient,
  meanOf,
  samplesDigest,
  tryGradient,
  type GradientFunction,
  type ParameterTable,
  type Prepared,
} from '@lockstep/task';
import type { Arena } from './arena.js';
import { bucketsOf, type Buckets } from './buckets.js';
import { digestOf } from './gradient-digest.js';
import { sumFormOf } from './exact-sum.js';
import { GradientPool } from './gradient-pool.js';
import type { BucketMarks, Passes, StateMarks } from './passes.js';
import { PortablePasses } from './portable-passes.js';
import type { RunHere } from './run-here.js';

/** A microbatch's gradient. */
export interface Gradient {
  /** [P], the mean over the microbatch; in a slot of the pool until the step is applied. */
  readonly values: Float32Array<SharedArrayBuffer>;
  /** Mean over the microbatch; null if it is not finite. */
  readonly loss: number | null;
  /** Means over the microbatch of the data's `figures`, in their order. */
  readonly figures: readonly number[];
  /** Names the samples that it is of (libs/task, `samplesDigest`). */
  readonly samples: string;
  readonly early: BucketMarks;
  readonly late: BucketMarks;
}

/** The early bucket of a gradient is in its place, while the late one is not yet. */
export type OnEarly = (values: Float32Array<SharedArrayBuffer>, early: BucketMarks) => void;

/** What a microbatch's gradient is the mean of. */
export type Mean = Pick<Gradient, 'loss' | 'figures' | 'samples'>;

/** What an update found and left: the digest of the state before it, digest and checksum of the one after it. */
export interface Applied {
  readonly found: string;
  readonly left: StateMarks;
}

/** What the compute thread asks of the numbers; a test may put its own around the Trainer. */
export interface Training {
  readonly table: ParameterTable;
  try(): void;
  probe(): string;
  gradient(step: number, microbatch: number, into: Float32Array, onEarly?: () => void): Mean;
  compute(step: number, microbatch: number, onEarly?: OnEarly): Gradient;
  prepare(step: number, microbatches: readonly number[]): void;
  apply(step: number, exponents: readonly number[], skip: boolean): Applied;
}

export interface TrainerOptions {
  /** Those in JavaScript, where they are left out. */
  readonly passes?: Passes;
  readonly trace?: Trace;
}

/** Microbatches whose inputs are made ahead: as many as one worker computes in a step, in runs of a few workers, ... */
const MAX_PREPARED = 64;
/** ... and no more once they take so many bytes: those of the default network take 4 MB. */
const MAX_PREPARED_BYTES = 64 * 1024 * 1024;
/** The early bucket of a gradient that has none. */
const EMPTY: BucketMarks = { exponents: new Int16Array(0), checksum: 0 };

export class Trainer implements Training {
  readonly table: ParameterTable;
  private readonly buckets: Buckets;
  private readonly passes: Passes;
  private readonly trace: Trace;
  private readonly graph: GradientFunction;
  private readonly compiled: Compiled;
  private readonly pool: GradientPool;
  /** The step that the pool's taken slots are of. */
  private step = 0;
  /** Inputs of microbatches of step `preparedStep`, made ahead. */
  private readonly prepared = new Map<number, Prepared>();
  private preparedStep = 0;

  /**
   * Compiles the gradient function: a second or two, or a fraction of that where its graph is on disk.
   * @throws EngineError; what the task throws of its function
   */
  constructor(
    engine: Engine,
    private readonly run: RunHere,
    private readonly arena: Arena,
    { passes, trace = NO_TRACE }: TrainerOptions = {},
  ) {
    const { task, data } = run;
    this.table = task.table;
    this.buckets = bucketsOf(task);
    this.passes = passes ?? new PortablePasses(this.table, sumFormOf(run, task), run.arithmetic);
    this.trace = trace;
    this.graph = data.gradient(engine);
    this.compiled = compileGradient(engine, this.graph);
    this.pool = new GradientPool(arena.sum.length);
  }

  /** Computes a gradient twice, to see that it can be trusted. @throws TaskError E_TASK_IMPURE, E_TASK_LOSS */
  try(): void {
    const { task, data } = this.run;
    tryGradient(task, this.arena.state.weights, data, this.graph, this.compiled);
  }

  /** sha256 of the first microbatch's gradient at state 0: workers with equal probes give equal bits. */
  probe(): string {
    return digestOf(this.compute(0, 0).values);
  }

  /** What microbatch `microbatch` of step `step` is trained on. @throws TaskError E_MICROBATCH, E_RANDOM_KEY */
  batch(step: number, microbatch: number): Prepared {
    return this.run.data.prepare(this.run.seed, step, microbatch);
  }

  /** The shapes of a microbatch's inputs, in their order. */
  get inputShapes(): readonly (readonly number[])[] {
    return this.graph.specs.slice(1).map(({ shape }) => shape);
  }

  /**
   * Makes the inputs of microbatches that will probably be asked for, as many as there is room for. Those of another step are
   * forgotten. @throws TaskError E_MICROBATCH, E_RANDOM_KEY
   */
  prepare(step: number, microbatches: readonly number[]): void {
    this.prepared.clear();
    this.preparedStep = step;
    let bytes = 0;
    for (const microbatch of microbatches.slice(0, MAX_PREPARED)) {
      if (bytes > MAX_PREPARED_BYTES) return;
      const batch = this.trace.timed('batch', () => this.batch(step, microbatch));
      for (const { byteLength } of batch.inputs) bytes += byteLength;
      this.prepared.set(microbatch, batch);
    }
  }

  private inputs(step: number, microbatch: number): Prepared {
    const ready = this.preparedStep === step ? this.prepared.get(microbatch) : undefined;
    return ready ?? this.trace.timed('batch', () => this.batch(step, microbatch));
  }

  /**
   * Puts the gradient of one microbatch of the step that the arena's state starts `into` an array, [P]. `onEarly` is called when the
   * early bucket is there. @throws TaskError E_MICROBATCH
   */
  gradient(step: number, microbatch: number, into: Float32Array, onEarly?: () => void): Mean {
    const batch = this.inputs(step, microbatch);
    const inputs = [this.arena.state.weights, ...batch.inputs];
    const { losses, figures = [], targets } = this.graph;
    const onStage = (stage: number): void => {
      if (stage === 0) onEarly?.();
    };
    const outputs = this.trace.timed('gradient', () => this.compiled.run(inputs, targets(into), onStage), {
      step,
      microbatch,
    });
    const loss = meanOf(outputs[losses]);
    return {
      loss: Number.isFinite(loss) ? loss : null,
      figures: figures.map((output) => meanOf(outputs[output])),
      samples: samplesDigest(batch.indices),
    };
  }

  /** As `gradient`, in a slot of the pool. @throws TaskError E_MICROBATCH */
  compute(step: number, microbatch: number, onEarly?: OnEarly): Gradient {
    if (step !== this.step) this.pool.releaseAll();
    this.step = step;
    const values = this.pool.take();
    const described = (bucket: keyof Buckets): BucketMarks =>
      this.trace.timed('describe', () => this.passes.describe(this.buckets[bucket], values), { bucket });
    if (this.run.task.earlyFrom === null)
      return { values, ...this.gradient(step, microbatch, values), early: EMPTY, late: described('late') };
    const made: BucketMarks[] = [];
    const mean = this.gradient(step, microbatch, values, () => {
      const early = described('early');
      made.push(early);
      onEarly?.(values, early);
    });
    const [early] = made;
    return { values, ...mean, early, late: described('late') };
  }

  /**
   * Takes the total in the arena as the step's gradient and updates weights, moments and moving average in place; `skip`
   * leaves them as they are. The step's gradients are forgotten.
   * @throws FixedPointError E_FIXEDPOINT_*; TaskError E_OPTIMIZER
   */
  apply(step: number, exponents: readonly number[], skip: boolean): Applied {
    this.pool.releaseAll();
    if (!skip)
      return this.passes.update(this.arena, Int16Array.from(exponents), (norm) => this.run.task.updateAt(step, norm));
    const left = this.passes.marks(this.arena);
    return { found: left.digest, left };
  }
}
