/**
 * The numbers of a training step: gradient of a microbatch, exact integer sum, update. Every result is a pure function of
 * (state, seed, step, microbatch); which worker computes it does not enter.
 */
import { createHash } from 'node:crypto';
import { addFixedPoint, fromFixedPoint, tensorExponents, type RunSettings } from '@lockstep/comm';
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
  type MicrobatchTask,
  type ParameterTable,
  type Preset,
} from '@lockstep/diffusion';
import { record, type Engine, type Recorded } from '@lockstep/engine';
import type { Arena } from './arena.js';

export class DataMismatchError extends Error {
  readonly code = 'E_DATA_MISMATCH';
}

/** A microbatch's gradient, kept in the trainer; what the coordinator must know of it. */
export interface GradientSummary {
  /** Mean over the microbatch; null if it is not finite. */
  readonly loss: number | null;
  /** Largest exponent by tensor (libs/comm, `tensorExponents`). */
  readonly exponents: readonly number[];
}

export class Trainer {
  private readonly recipe: Preset;
  private readonly table: ParameterTable;
  private readonly task: MicrobatchTask;
  private readonly recorded: Recorded;
  private readonly gradients = new Map<number, Float32Array>();
  /** The step that `gradients` are of. */
  private step = 0;
  private readonly gradient: Float32Array;

  /**
   * Loads the data and records the gradient function (a second or two).
   * @throws DataMismatchError (E_DATA_MISMATCH); DiffusionError; EngineError
   */
  constructor(
    engine: Engine,
    settings: RunSettings,
    private readonly arena: Arena,
  ) {
    const dataset = loadMnist('train');
    if (dataset.digest !== settings.dataDigest) {
      throw new DataMismatchError(
        `this worker's training data has digest ${dataset.digest}, the run's ${settings.dataDigest}; install the same data set`,
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
    this.gradient = new Float32Array(arena.sum.length);
  }

  /** sha256 of the first microbatch's gradient at state 0: workers with equal probes give equal bits. */
  probe(): string {
    this.compute(0, 0);
    const gradient = this.gradients.get(0);
    if (gradient === undefined) throw new Error('the probe left no gradient');
    return createHash('sha256')
      .update(new Uint8Array(gradient.buffer, gradient.byteOffset, gradient.byteLength))
      .digest('hex');
  }

  /** Computes and keeps the gradient of one microbatch of the step that the arena's state starts. */
  compute(step: number, microbatch: number): GradientSummary {
    if (step !== this.step) this.gradients.clear();
    this.step = step;
    const batch = makeMicrobatch(this.task, step, microbatch);
    const [gradient, losses] = this.recorded.run(gradientInputs(this.arena.state.weights, batch));
    if (!(gradient instanceof Float32Array) || losses === undefined)
      throw new Error('the gradient function gave no gradient');
    this.gradients.set(microbatch, gradient);
    let loss = 0;
    for (const value of losses) loss += value;
    loss /= losses.length;
    return { loss: Number.isFinite(loss) ? loss : null, exponents: Array.from(tensorExponents(gradient, this.table)) };
  }

  /** Sums the named gradients as integers into the arena, with the exponents that all workers agreed on. */
  fold(contribute: readonly number[], exponents: readonly number[]): void {
    this.arena.sum.fill(0);
    const agreed = Int16Array.from(exponents);
    for (const microbatch of contribute) {
      const gradient = this.gradients.get(microbatch);
      if (gradient === undefined) throw new Error(`microbatch ${microbatch} of step ${this.step} is not held here`);
      addFixedPoint(this.arena.sum, gradient, this.table, agreed, this.microbatches);
    }
  }

  /** Takes the total in the arena as the step's gradient and updates weights, moments and moving average in place. */
  apply(step: number, exponents: readonly number[]): void {
    const { optimizer, steps } = this.recipe;
    fromFixedPoint(
      this.arena.sum,
      this.gradient,
      this.table,
      Int16Array.from(exponents),
      this.microbatches,
      1 / this.microbatches,
    );
    adamStep(this.arena.state, this.gradient, {
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
      clipScale: clipScale(globalNorm(this.gradient), optimizer.maxGradientNorm),
      emaDecay: emaDecayAt(step, optimizer.emaMaxDecay),
    });
    this.gradients.clear();
  }

  private get microbatches(): number {
    return this.recipe.globalBatch / this.recipe.microbatchSize;
  }
}
