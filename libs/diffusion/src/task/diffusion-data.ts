/** Images with their labels as a task's data: microbatches of noised images, and the gradient of the network on them. */
import type { Engine } from '@lockstep/engine';
import type { GradientFunction, NamedTensor, Prepared, TaskData } from '@lockstep/task';
import { describeDataset, type Dataset } from '../data/dataset.js';
import { dimensionsOf } from '../data/image-shape.js';
import type { Recipe } from '../recipe/presets.js';
import { microbatchTask } from '../recipe/recipe.js';
import { gradientFunction, microbatchInputs } from '../training/loss.js';
import { makeMicrobatch, type Microbatch, type MicrobatchTask } from '../training/microbatch.js';

/** Number of the output of a gradient function that holds the losses (loss.ts). */
const LOSSES = 1;

export class DiffusionData implements TaskData {
  readonly digest: string;
  readonly count: number;
  readonly description: string;
  readonly classNames: readonly string[];
  private made: { readonly seed: number; readonly task: MicrobatchTask } | null = null;

  constructor(
    private readonly recipe: Recipe,
    readonly dataset: Dataset,
  ) {
    this.digest = dataset.digest;
    this.count = dataset.count;
    this.description = describeDataset(dataset);
    this.classNames = dataset.classNames;
  }

  /** @throws E_MICROBATCH, E_RANDOM_KEY, E_LABEL */
  prepare(seed: number, step: number, microbatch: number): Prepared {
    const batch = makeMicrobatch(this.taskOf(seed), step, microbatch);
    return {
      indices: batch.indices,
      inputs: microbatchInputs(batch),
      notes: { timesteps: this.timestepsOf(batch) },
      tensors: this.tensorsOf(batch),
    };
  }

  gradient(engine: Engine): GradientFunction {
    const { model, microbatchSize, prediction } = this.recipe;
    return { ...gradientFunction(engine, model, microbatchSize, prediction), losses: LOSSES };
  }

  /** The schedule is a table of T numbers: one for all microbatches of a run. */
  private taskOf(seed: number): MicrobatchTask {
    if (this.made?.seed !== seed) this.made = { seed, task: microbatchTask(this.recipe, seed, this.dataset) };
    return this.made.task;
  }

  /** t of the recipe's schedule; the network may have seen a fraction of T. */
  private timestepsOf({ t }: Microbatch): number[] {
    const { networkTime, schedule } = this.recipe;
    switch (networkTime) {
      case 'timestep':
        return [...t];
      case 'fraction':
        return Array.from(t, (fraction) => Math.round(fraction * schedule.T));
      default:
        return networkTime satisfies never;
    }
  }

  private tensorsOf(batch: Microbatch): NamedTensor[] {
    const n = batch.t.length;
    const images = [n, ...dimensionsOf(this.dataset.shape)];
    return [
      { name: 'x0', shape: images, data: batch.x0 },
      { name: 'eps', shape: images, data: batch.eps },
      { name: 'sqrtAlphaBar', shape: [n], data: batch.sqrtAlphaBar },
      { name: 'sqrtOneMinusAlphaBar', shape: [n], data: batch.sqrtOneMinusAlphaBar },
      { name: 't', shape: [n], data: batch.t },
      { name: 'lossWeight', shape: [n], data: batch.lossWeight },
    ];
  }
}
