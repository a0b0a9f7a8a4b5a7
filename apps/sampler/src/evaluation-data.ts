/** The labelled data that a run is evaluated on. */
import { loadMnist, type Dataset } from '@lockstep/diffusion';
import { SamplerError } from './errors.js';

export interface EvaluationData {
  /** What the run was trained on. */
  readonly train: Dataset;
  /** What it was not trained on. */
  readonly test: Dataset;
  readonly classes: number;
}

/**
 * The data set of a run.
 * @param digest of its training data, by run.json
 * @throws SamplerError E_EVALUATE_DATA; DiffusionError E_MNIST_*
 */
export function loadEvaluationData(digest: string): EvaluationData {
  const [train, test] = [loadMnist('train'), loadMnist('test')];
  if (train.digest !== digest)
    throw new SamplerError(
      'E_EVALUATE_DATA',
      `the run was trained on data ${digest.slice(0, 12)}, here is ${train.digest.slice(0, 12)}; evaluate it where its data is`,
    );
  return { train, test, classes: train.labels.reduce((most, label) => Math.max(most, label), 0) + 1 };
}
