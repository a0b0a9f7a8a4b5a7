/** The labelled data that a run is evaluated on. */
import { z } from 'zod';
import type { RunRecord } from '@lockstep/checkpoint';
import { loadDataset, MNIST, type Dataset } from '@lockstep/diffusion';
import { SamplerError } from './errors.js';

export interface EvaluationData {
  /** What the run was trained on. */
  readonly train: Dataset;
  /** What it was not trained on. */
  readonly test: Dataset;
  readonly classes: number;
}

/** The part of a run's config that is needed here. Before there was a choice of data it was MNIST. */
const configSchema = z.object({ data: z.string().default(MNIST) });

/**
 * The data set of a run.
 * @throws SamplerError E_EVALUATE_DATA; DiffusionError E_MNIST_*, E_DATA_*
 */
export function loadEvaluationData({ config, dataDigest }: Pick<RunRecord, 'config' | 'dataDigest'>): EvaluationData {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success)
    throw new SamplerError(
      'E_EVALUATE_DATA',
      'run.json does not name the data; evaluate it with the version that made it',
    );
  const source = parsed.data.data;
  const [train, test] = [loadDataset(source, 'train'), loadDataset(source, 'test')];
  if (train.digest !== dataDigest)
    throw new SamplerError(
      'E_EVALUATE_DATA',
      `the run was trained on data ${dataDigest.slice(0, 12)}, in ${source} is ${train.digest.slice(0, 12)}; evaluate it where its data is`,
    );
  return { train, test, classes: train.labels.reduce((most, label) => Math.max(most, label), 0) + 1 };
}
