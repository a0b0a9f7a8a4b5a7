/** What weights are worth on data that they were not trained on: loss and figures, means over one half of the task's data. */
import type { Engine } from '@lockstep/engine';
import { compileGradient } from './compile-gradient.js';
import { TaskError } from './errors.js';
import type { Task, TaskData } from './task.js';

export interface Measured {
  readonly loss: number;
  readonly figures: Readonly<Record<string, number>>;
  /** Samples that were measured: all, or as many as were wanted, but the rest that fills no microbatch. */
  readonly samples: number;
}

/**
 * Measures weights by the function that trains them, a microbatch at a time. No sample counts twice.
 *
 * @param weights [P]
 * @param most samples that are looked at, drawn at random and the same each time; all by default
 * @throws E_MICROBATCH if there are fewer samples than a microbatch has; EngineError
 */
export function measure(
  engine: Engine,
  { globalBatch, microbatchSize }: Pick<Task, 'globalBatch' | 'microbatchSize'>,
  data: TaskData,
  weights: Float32Array,
  most = Infinity,
): Measured {
  const microbatches = Math.min(Math.floor(data.count / microbatchSize), Math.ceil(most / microbatchSize));
  if (microbatches === 0)
    throw new TaskError(
      'E_MICROBATCH',
      `there are ${data.count} samples to test on, and a microbatch has ${microbatchSize}: name more data, or train with smaller microbatches`,
    );
  const graph = data.gradient(engine);
  const { losses, figures = [], targets } = graph;
  const compiled = compileGradient(engine, graph);
  const gradient = new Float32Array(weights.length);
  const sums = [losses, ...figures].map((output) => ({ output, sum: 0 }));
  const inStep = globalBatch / microbatchSize;
  try {
    for (let k = 0; k < microbatches; k++) {
      // The first epoch of a seed: every sample once, whole steps or not.
      const { inputs } = data.prepare(0, Math.floor(k / inStep), k % inStep);
      const outputs = compiled.run([weights, ...inputs], targets(gradient));
      for (const one of sums) one.sum += meanOf(outputs[one.output]);
    }
  } finally {
    compiled.dispose();
  }
  const [loss, ...means] = sums.map(({ sum }) => sum / microbatches);
  const names = data.figures ?? [];
  return {
    loss,
    figures: Object.fromEntries(names.map((name, index) => [name, means[index]])),
    samples: microbatches * microbatchSize,
  };
}

/** In the order of the values, so that the same ones give the same bits. */
export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}
