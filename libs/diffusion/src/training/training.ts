/**
 * Training, Ho, Jain and Abbeel 2020, algorithm 1, as the workers of a run do it together. Step k = 0, 1, ...:
 *
 *   for each sample of the global batch:  x0 the image, t ~ uniform{1..T}, eps ~ N(0, 1), c its label or none
 *                                                                              microbatch.ts, timesteps.ts, labels.ts
 *   g = mean over the samples of the gradient of  w_t |target - network(x_t, t, c)|^2                          loss.ts
 *   weights -= Adam(clip(g)), average = decay average + (1 - decay) weights                    updateAt, optimizer.ts
 *
 * The mean over microbatches, which different workers compute, is an exact sum of integers (libs/exact, fixedpoint.ts).
 */
import { clipScale, emaDecayAt, learningRateAt, type AdamStep } from '@lockstep/task';
import type { Recipe } from '../recipe/presets.js';

/** The update of step `step` (from 0) by a mean gradient of this Euclidean norm. */
export function updateAt({ optimizer, steps }: Recipe, step: number, norm: number): AdamStep {
  const { beta1, beta2, eps, peakLearningRate, warmupSteps, finalFraction, maxGradientNorm, emaMaxDecay } = optimizer;
  const learningRate = { peak: peakLearningRate, warmup: warmupSteps, total: steps, finalFraction };
  return {
    learningRate: learningRateAt(step, learningRate),
    beta1,
    beta2,
    eps,
    step,
    clipScale: clipScale(norm, maxGradientNorm),
    emaDecay: emaDecayAt(step, emaMaxDecay),
  };
}
