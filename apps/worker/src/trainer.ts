/**
 * The numbers of a training step that need the engine or change the state: gradient of a microbatch, update. Every result is
 * a pure function of (state, seed, step, microbatch); which worker computes it does not enter.
 */
import { NO_TRACE, type Trace } from '@lockstep/checkpoint';
import { fromFixedPoint, type RunSettings } from '@lockstep/comm';
import {
  adamStep,
  clipScale,
  emaDecayAt,
  globalNorm,
  gradientFunction,
  gradientInputs,
  learningRateAt,
  loadMnist,
  makeMicrobatch,
  makeSchedule,
  parameterTable,
  recipeOf,
  samplesDigest,
  type Microbatch,
  type MicrobatchTask,
  type ParameterTable,
  type Preset,
} from '@lockstep/diffusion';
import { record, type Engine, type Recorded } from '@lockstep/engine';
import type { Arena } from './arena.js';
import { digestOf } from './checksum.js';
import { GradientPool } from './gradient-pool.js';

export class DataMismatchError extends Error {
  readonly code = 'E_DATA_MISMATCH';
}

/** A microbatch's gradient. */
export interface Gradient {
  /** [P], the mean over the microbatch; in a slot of the pool until the step is applied. */
  readonly values: Float32Array<SharedArrayBuffer>;
  /** Mean over the microbatch; null if it is not finite. */
  readonly loss: number | null;
  /** Names the samples that it is of (libs/diffusion, `samplesDigest`). */
  readonly samples: string;
}

/** What the compute thread asks of the numbers; a test may put its own around the Trainer. */
export interface Training {
  readonly table: ParameterTable;
  probe(): string;
  compute(step: number, microbatch: number): Gradient;
  apply(step: number, exponents: readonly number[], skip: boolean): void;
}

export class Trainer implements Training {
  readonly table: ParameterTable;
  private readonly recipe: Preset;
  private readonly task: MicrobatchTask;
  private readonly recorded: Recorded;
  private readonly pool: GradientPool;
  /** The step that the pool's taken slots are of. */
  private step = 0;
  /** The whole step's mean gradient. */
  private readonly mean: Float32Array;

  /**
   * Loads the data and records the gradient function (a second or two).
   * @throws DataMismatchError (E_DATA_MISMATCH); DiffusionError; EngineError
   */
  constructor(
    engine: Engine,
    settings: RunSettings,
    private readonly arena: Arena,
    private readonly trace: Trace = NO_TRACE,
  ) {
    const dataset = loadMnist('train');
    if (dataset.digest !== settings.dataDigest) {
      throw new DataMismatchError(
        `the training data here has digest ${dataset.digest}, the run's ${settings.dataDigest}; install the same data set`,
      );
    }
    const { seed } = settings;
    this.recipe = recipeOf(settings);
    const { globalBatch, microbatchSize, timesteps, lossWeighting, networkTime, model } = this.recipe;
    this.table = parameterTable(model);
    this.task = {
      seed,
      dataset,
      schedule: makeSchedule(this.recipe.schedule),
      globalBatch,
      microbatchSize,
      timesteps,
      lossWeighting,
      networkTime,
    };
    const { fn, specs } = gradientFunction(engine, model, microbatchSize);
    this.recorded = record(engine, fn, specs);
    this.mean = new Float32Array(arena.sum.length);
    this.pool = new GradientPool(arena.sum.length);
  }

  /** sha256 of the first microbatch's gradient at state 0: workers with equal probes give equal bits. */
  probe(): string {
    return digestOf(this.compute(0, 0).values);
  }

  /** What microbatch `microbatch` of step `step` is trained on. @throws DiffusionError E_MICROBATCH, E_RANDOM_KEY */
  batch(step: number, microbatch: number): Microbatch {
    return makeMicrobatch(this.task, step, microbatch);
  }

  /** The gradient of one microbatch of the step that the arena's state starts. @throws DiffusionError E_MICROBATCH */
  compute(step: number, microbatch: number): Gradient {
    if (step !== this.step) this.pool.releaseAll();
    this.step = step;
    const batch = this.trace.timed('batch', () => this.batch(step, microbatch));
    const inputs = gradientInputs(this.arena.state.weights, batch);
    const [gradient, losses] = this.trace.timed('gradient', () => this.recorded.run(inputs), { step, microbatch });
    if (!(gradient instanceof Float32Array) || losses === undefined)
      throw new Error('the gradient function gave no gradient');
    const values = this.pool.take();
    this.trace.timed('store', () => values.set(gradient));
    let loss = 0;
    for (const value of losses) loss += value;
    loss /= losses.length;
    return { values, loss: Number.isFinite(loss) ? loss : null, samples: samplesDigest(batch.indices) };
  }

  /**
   * Takes the total in the arena as the step's gradient and updates weights, moments and moving average in place; `skip`
   * leaves them as they are. The step's gradients are forgotten.
   * @throws FixedPointError E_FIXEDPOINT_*; DiffusionError E_OPTIMIZER
   */
  apply(step: number, exponents: readonly number[], skip: boolean): void {
    if (!skip) {
      const microbatches = this.recipe.globalBatch / this.recipe.microbatchSize;
      const agreed = Int16Array.from(exponents);
      fromFixedPoint(this.arena.sum, this.mean, this.table, agreed, microbatches, 1 / microbatches);
      this.update(step, this.mean);
    }
    this.pool.releaseAll();
  }

  /** Updates weights, moments and moving average in place with the step's mean gradient, [P]. @throws DiffusionError E_OPTIMIZER */
  update(step: number, mean: Float32Array): void {
    const { optimizer, steps } = this.recipe;
    adamStep(this.arena.state, mean, {
      learningRate: learningRateAt(step, {
        peak: optimizer.peakLearningRate,
        warmup: optimizer.warmupSteps,
        total: steps,
        finalFraction: optimizer.finalFraction,
      }),
      beta1: optimizer.beta1,
      beta2: optimizer.beta2,
      eps: optimizer.eps,
      step,
      clipScale: clipScale(globalNorm(mean), optimizer.maxGradientNorm),
      emaDecay: emaDecayAt(step, optimizer.emaMaxDecay),
    });
  }
}
