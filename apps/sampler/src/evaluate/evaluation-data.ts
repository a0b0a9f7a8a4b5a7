/** The labelled data that a run is evaluated on. */
import { z } from 'zod';
import { CheckpointError, type RunRecord } from '@lockstep/run';
import { loadDataset, loadRunData, MNIST, type Dataset } from '@lockstep/diffusion';

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
 * @param given where it is now; null: where it was when the run began
 * @throws CheckpointError E_RUN_CORRUPT; DiffusionError E_DATA_CHANGED, E_MNIST_*, E_DATA_*
 */
export function loadEvaluationData(
  { config, dataDigest }: Pick<RunRecord, 'config' | 'dataDigest'>,
  given: string | null,
): EvaluationData {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success)
    throw new CheckpointError(
      'E_RUN_CORRUPT',
      'run.json does not name the data; evaluate it with the version that made it.',
    );
  const source = parsed.data.data;
  const train = loadRunData({ source, digest: dataDigest }, given);
  const test = loadDataset(given ?? source, 'test');
  return { train, test, classes: train.labels.reduce((most, label) => Math.max(most, label), 0) + 1 };
}
