/**
 * The numbers of a training step that need the engine or change the state: gradient of a microbatch, update. Every result is
 * a pure function of (state, seed, step, microbatch); which worker computes it does not enter.
 */
import { NO_TRACE, type Trace } from '@lockstep/run';
import type { RunSettings } from '@lockstep/comm';
import {
  checkDataset,
  DiffusionError,
  gradientFunction,
  gradientInputs,
  imageShapeOf,
  labelsOf,
  loadDataset,
  makeMicrobatch,
  MNIST,
  microbatchTask,
  ofDigest,
  parameterTable,
  parseRecipe,
  samplesDigest,
  updateAt,
  type Dataset,
  type GradientFunction,
  type Microbatch,
  type MicrobatchTask,
  type ParameterTable,
  type Preset,
} from '@lockstep/diffusion';
import { compile, type Compiled, type Engine } from '@lockstep/engine';
import type { Arena } from './arena.js';
import { bucketsOf, type Buckets } from './buckets.js';
import { digestOf } from './gradient-digest.js';
import { sumFormOf } from './exact-sum.js';
import { GradientPool } from './gradient-pool.js';
import type { BucketMarks, Passes, StateMarks } from './passes.js';
import { PortablePasses } from './portable-passes.js';

/** A microbatch's gradient. */
export interface Gradient {
  /** [P], the mean over the microbatch; in a slot of the pool until the step is applied. */
  readonly values: Float32Array<SharedArrayBuffer>;
  /** Mean over the microbatch; null if it is not finite. */
  readonly loss: number | null;
  /** Names the samples that it is of (libs/diffusion, `samplesDigest`). */
  readonly samples: string;
  readonly early: BucketMarks;
  readonly late: BucketMarks;
}

/** The early bucket of a gradient is in its place, while the late one is not yet. */
export type OnEarly = (values: Float32Array<SharedArrayBuffer>, early: BucketMarks) => void;

/** What a microbatch's gradient is the mean of. */
export type Mean = Pick<Gradient, 'loss' | 'samples'>;

/** What an update found and left: the digest of the state before it, digest and checksum of the one after it. */
export interface Applied {
  readonly found: string;
  readonly left: StateMarks;
}

/** What the compute thread asks of the numbers; a test may put its own around the Trainer. */
export interface Training {
  readonly table: ParameterTable;
  probe(): string;
  gradient(step: number, microbatch: number, into: Float32Array, onEarly?: () => void): Mean;
  compute(step: number, microbatch: number, onEarly?: OnEarly): Gradient;
  prepare(step: number, microbatches: readonly number[]): void;
  apply(step: number, exponents: readonly number[], skip: boolean): Applied;
}

export interface TrainerOptions {
  /** Those in JavaScript, where they are left out. */
  readonly passes?: Passes;
  /** The run's data, where it is loaded already. */
  readonly dataset?: Dataset;
  readonly trace?: Trace;
}

/** Inputs made ahead, 66 kB each: as many as one worker computes in a step, in runs of a few workers. */
const MAX_PREPARED = 64;

export class Trainer implements Training {
  readonly table: ParameterTable;
  private readonly recipe: Preset;
  private readonly buckets: Buckets;
  private readonly task: MicrobatchTask;
  private readonly passes: Passes;
  private readonly trace: Trace;
  private readonly compiled: Compiled;
  private readonly targets: GradientFunction['targets'];
  private readonly pool: GradientPool;
  /** The step that the pool's taken slots are of. */
  private step = 0;
  /** Inputs of microbatches of step `preparedStep`, made ahead. */
  private readonly prepared = new Map<number, Microbatch>();
  private preparedStep = 0;

  /**
   * Loads the data and compiles the gradient function: a second or two, or a fraction of that where its graph is on disk.
   * @throws DiffusionError E_DATA_CHANGED if the data here is not the run's, and others; EngineError
   */
  constructor(
    engine: Engine,
    settings: RunSettings,
    private readonly arena: Arena,
    { passes, dataset = runDataHere(settings), trace = NO_TRACE }: TrainerOptions = {},
  ) {
    this.recipe = parseRecipe(settings.recipe);
    const { microbatchSize, model, prediction } = this.recipe;
    checkDataset(dataset, { shape: imageShapeOf(model), classes: labelsOf(model) });
    this.table = parameterTable(model);
    this.buckets = bucketsOf(model);
    this.passes = passes ?? new PortablePasses(this.table, sumFormOf(settings, this.recipe));
    this.trace = trace;
    this.task = microbatchTask(this.recipe, settings.seed, dataset);
    const { fn, specs, identity, stages, targets } = gradientFunction(engine, model, microbatchSize, prediction);
    this.targets = targets;
    this.compiled = compile(engine, fn, specs, { identity, stages });
    this.pool = new GradientPool(arena.sum.length);
  }

  /** sha256 of the first microbatch's gradient at state 0: workers with equal probes give equal bits. */
  probe(): string {
    return digestOf(this.compute(0, 0).values);
  }

  /** What microbatch `microbatch` of step `step` is trained on. @throws TaskError E_MICROBATCH, E_RANDOM_KEY */
  batch(step: number, microbatch: number): Microbatch {
    return makeMicrobatch(this.task, step, microbatch);
  }

  /**
   * Makes the inputs of microbatches that will probably be asked for, as many as there is room for. Those of another step are
   * forgotten. @throws TaskError E_MICROBATCH, E_RANDOM_KEY
   */
  prepare(step: number, microbatches: readonly number[]): void {
    this.prepared.clear();
    this.preparedStep = step;
    for (const microbatch of microbatches.slice(0, MAX_PREPARED))
      this.prepared.set(
        microbatch,
        this.trace.timed('batch', () => this.batch(step, microbatch)),
      );
  }

  private inputs(step: number, microbatch: number): Microbatch {
    const ready = this.preparedStep === step ? this.prepared.get(microbatch) : undefined;
    return ready ?? this.trace.timed('batch', () => this.batch(step, microbatch));
  }

  /**
   * Puts the gradient of one microbatch of the step that the arena's state starts `into` an array, [P]. `onEarly` is called when the
   * early bucket is there. @throws TaskError E_MICROBATCH
   */
  gradient(step: number, microbatch: number, into: Float32Array, onEarly?: () => void): Mean {
    const batch = this.inputs(step, microbatch);
    const inputs = gradientInputs(this.arena.state.weights, batch);
    const targets = this.targets(into);
    const onStage = (stage: number): void => {
      if (stage === 0) onEarly?.();
    };
    const [, losses] = this.trace.timed('gradient', () => this.compiled.run(inputs, targets, onStage), {
      step,
      microbatch,
    });
    let loss = 0;
    for (const value of losses) loss += value;
    loss /= losses.length;
    return { loss: Number.isFinite(loss) ? loss : null, samples: samplesDigest(batch.indices) };
  }

  /** As `gradient`, in a slot of the pool. @throws TaskError E_MICROBATCH */
  compute(step: number, microbatch: number, onEarly?: OnEarly): Gradient {
    if (step !== this.step) this.pool.releaseAll();
    this.step = step;
    const values = this.pool.take();
    const described = (bucket: keyof Buckets): BucketMarks =>
      this.trace.timed('describe', () => this.passes.describe(this.buckets[bucket], values), { bucket });
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
      return this.passes.update(this.arena, Int16Array.from(exponents), (norm) => updateAt(this.recipe, step, norm));
    const left = this.passes.marks(this.arena);
    return { found: left.digest, left };
  }
}

/** @throws DiffusionError E_DATA_CHANGED if what is in that place here is not the run's data; E_DATA_*, E_MNIST_* */
function runDataHere({ data, dataDigest }: RunSettings): Dataset {
  const dataset = loadDataset(data ?? MNIST, 'train');
  const known = ofDigest(dataset, dataDigest);
  if (known !== null) return known;
  throw new DiffusionError(
    'E_DATA_CHANGED',
    `the data in ${data ?? MNIST} of this machine is not the run's (digest ${dataDigest.slice(0, 12)} of the run, ${dataset.digest.slice(0, 12)} here): put the same data there`,
  );
}
